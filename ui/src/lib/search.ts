/** How well `text` answers `query`: lower is better, null is not at all. */
export function matchRank(text: string, query: string): number | null {
  const haystack = text.toLowerCase();
  const words = query.toLowerCase().split(/\s+/).filter((word) => word !== '');
  let rank = 0;
  for (const word of words) {
    const index = haystack.indexOf(word);
    if (index < 0) return null;
    // A word's start counts for more than its middle, an early place for more than a late one.
    const boundary = index === 0 || /[^a-z0-9]/.test(haystack[index - 1] ?? '');
    rank += (boundary ? 0 : 1000) + index;
  }
  return rank + text.length / 1000;
}

/** The items that hold every word of the query, best first; all of them, as they came, for an empty query. */
export function searchItems<T>(items: readonly T[], query: string, textOf: (item: T) => string, limit = Infinity): T[] {
  if (query.trim() === '') return items.slice(0, limit);
  return items
    .map((item) => ({ item, rank: matchRank(textOf(item), query) }))
    .filter((hit): hit is { item: T; rank: number } => hit.rank !== null)
    .toSorted((a, b) => a.rank - b.rank)
    .slice(0, limit)
    .map((hit) => hit.item);
}
