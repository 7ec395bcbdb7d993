import type { ActiveTarget } from '../api/types';
import type { HealthFilter } from './location';
import { searchItems } from './search';

export interface TargetGroup {
  pool: string;
  up: number;
  targets: ActiveTarget[];
}

export type Health = 'up' | 'down' | 'unknown';

export function healthOf(target: ActiveTarget): Health {
  return target.health === 'up' || target.health === 'down' ? target.health : 'unknown';
}

export function countHealth(targets: readonly ActiveTarget[]): Record<HealthFilter, number> {
  const counts = { all: targets.length, up: 0, down: 0, unknown: 0 };
  for (const target of targets) counts[healthOf(target)] += 1;
  return counts;
}

function textOf(target: ActiveTarget): string {
  const labels = Object.entries(target.labels).map(([name, value]) => `${name}=${value}`);
  return [target.scrapePool, target.scrapeUrl, ...labels, target.lastError].join(' ');
}

const URGENCY: Record<Health, number> = { down: 0, unknown: 1, up: 2 };

/** Targets that match, by scrape pool; within a pool and between pools what is down comes first. */
export function groupTargets(targets: readonly ActiveTarget[], search: string, health: HealthFilter): TargetGroup[] {
  const wanted = searchItems(targets, search, textOf).filter((target) => health === 'all' || healthOf(target) === health);
  const groups = new Map<string, ActiveTarget[]>();
  for (const target of wanted) groups.set(target.scrapePool, [...(groups.get(target.scrapePool) ?? []), target]);
  return [...groups]
    .map(([pool, members]) => ({
      pool,
      up: members.filter((target) => healthOf(target) === 'up').length,
      targets: members.toSorted((a, b) => URGENCY[healthOf(a)] - URGENCY[healthOf(b)] || a.scrapeUrl.localeCompare(b.scrapeUrl)),
    }))
    .toSorted((a, b) => Number(a.up === a.targets.length) - Number(b.up === b.targets.length) || a.pool.localeCompare(b.pool));
}

/** Milliseconds since the last scrape; null where none happened, which Go writes as the year 1. */
export function scrapeAge(lastScrape: string, nowMs: number): number | null {
  const time = Date.parse(lastScrape);
  return Number.isNaN(time) || time <= 0 ? null : nowMs - time;
}
