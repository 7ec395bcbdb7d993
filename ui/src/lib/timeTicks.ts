const DAY = 86_400;

function isMidnight(date: Date): boolean {
  return date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
}

/** Labels of a local time axis: clock times, and the date where a day begins or, over long ranges, alone. */
export function formatTimeTicks(ticks: readonly number[], increment: number, locale: string): string[] {
  const day = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' });
  const clock = new Intl.DateTimeFormat(locale, {
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    ...(increment < 60 ? { second: '2-digit' as const } : {}),
  });
  return ticks.map((tick) => {
    const date = new Date(tick * 1000);
    return increment >= DAY || isMidnight(date) ? day.format(date) : clock.format(date);
  });
}

/** A moment to the second, with its date when that is not today. */
export function formatMoment(seconds: number, nowMs: number, locale: string): string {
  const date = new Date(seconds * 1000);
  const time = date.toLocaleTimeString(locale, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
  if (date.toDateString() === new Date(nowMs).toDateString()) return time;
  return `${date.toLocaleDateString(locale, { day: 'numeric', month: 'short' })} ${time}`;
}
