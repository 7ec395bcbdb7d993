import { DEFAULT_RANGE, type TimeRange } from './range';

/** What the browser keeps beside a link: that a zoom led here, so that going back means the browser's own back. */
export interface HistoryMark {
  zoomed: boolean;
}

export function isZoomed(mark: unknown): boolean {
  return typeof mark === 'object' && mark !== null && 'zoomed' in mark && mark.zoomed === true;
}

/** Where "back" leads from a range that a link brought: a pinned range to the default one, a live one nowhere. */
export function rangeBefore(range: TimeRange): TimeRange | null {
  return range.to.startsWith('now') ? null : DEFAULT_RANGE;
}
