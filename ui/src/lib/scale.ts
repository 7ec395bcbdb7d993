import type { Unit } from './units';

/** Where a flat line at zero puts the top of its axis, so that ticks do not count fractions of a byte. */
const SMALLEST_TOP: Partial<Record<Unit, number>> = { ratio: 0.01, bytes: 1024, 'bytes/s': 1024, seconds: 0.001 };

/** The ends of a value axis: from zero where the data come near it, with a tenth of air on top; `top` fixes the upper end. */
export function valueRange(min: number | null, max: number | null, unit: Unit, top?: number): [number, number] {
  const low = min ?? 0;
  const high = max ?? 0;
  if (top !== undefined) return [Math.min(0, low), Math.max(top, high)];
  if (high === low && high === 0) return [0, SMALLEST_TOP[unit] ?? 1];
  const near = low >= 0 && low < high * 0.7;
  const air = Math.max((high - low) * 0.1, Math.abs(high) * 1e-3);
  if (near || (low === high && low > 0)) return [0, high * 1.1];
  if (high <= 0 && high > low * 0.7) return [low * 1.1, 0];
  return [low < 0 ? low - air : Math.max(0, low - air), high + air];
}
