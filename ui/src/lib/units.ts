/** Numbers with units, with no more digits than the eye needs. */

export type Unit = 'bytes' | 'bytes/s' | 'seconds' | 'ratio' | 'requests/s' | 'per second' | 'timestamp' | 'number';

/** A number ready to show: `text` in tabular figures, `unit` beside it ('' when the number counts things). */
export interface Quantity {
  text: string;
  unit: string;
}

interface Scale {
  factor: number;
  unit: string;
}

const IEC = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const SI = ['', 'k', 'M', 'G', 'T'];

function power(value: number, base: number, top: number): number {
  const size = Math.abs(value);
  if (size < base) return 0;
  // The epsilon keeps an exact power (1024, 1e6) from falling one prefix short of its name.
  return Math.min(top, Math.floor(Math.log(size) / Math.log(base) + 1e-9));
}

function bytesScale(value: number, suffix: string): Scale {
  const index = power(value, 1024, IEC.length - 1);
  return { factor: 1024 ** index, unit: `${IEC[index] ?? 'B'}${suffix}` };
}

function siScale(value: number, suffix: string): Scale {
  const index = power(value, 1000, SI.length - 1);
  return { factor: 1000 ** index, unit: `${SI[index] ?? ''}${suffix}` };
}

function secondsScale(value: number): Scale {
  const size = Math.abs(value);
  if (size === 0) return { factor: 1, unit: 's' };
  if (size < 1e-6) return { factor: 1e-9, unit: 'ns' };
  if (size < 1e-3) return { factor: 1e-6, unit: 'µs' };
  if (size < 1) return { factor: 1e-3, unit: 'ms' };
  if (size < 120) return { factor: 1, unit: 's' };
  if (size < 7200) return { factor: 60, unit: 'min' };
  if (size < 172_800) return { factor: 3600, unit: 'h' };
  return { factor: 86_400, unit: 'd' };
}

/** The prefix that suits `value`; an axis takes the one of its largest tick. */
export function scaleFor(value: number, unit: Unit): Scale {
  switch (unit) {
    case 'bytes':
      return bytesScale(value, '');
    case 'bytes/s':
      return bytesScale(value, '/s');
    case 'seconds':
      return secondsScale(value);
    case 'ratio':
      return { factor: 0.01, unit: '%' };
    case 'requests/s':
      return siScale(value, 'req/s');
    case 'per second':
      return siScale(value, '/s');
    case 'timestamp':
      return { factor: 1, unit: '' };
    case 'number':
      return siScale(value, '');
  }
}

function digitsFor(size: number): number {
  if (size >= 100 || size === 0) return 0;
  if (size >= 10) return 1;
  if (size >= 1) return 2;
  return size >= 0.01 ? 3 : 4;
}

/** At most three significant digits, trailing zeros dropped; a share below a hundredth of a percent is as good as none. */
function shortNumber(value: number, unit: Unit, locale: string): string {
  const size = Math.abs(value);
  if (unit !== 'ratio' && size > 0 && size < 0.001) return value.toExponential(1);
  const digits = unit === 'ratio' ? Math.min(2, digitsFor(size)) : digitsFor(size);
  return new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);
}

function specialNumber(value: number): string | null {
  if (Number.isNaN(value)) return 'NaN';
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : null;
}

export function formatQuantity(value: number, unit: Unit, locale = 'en'): Quantity {
  const special = specialNumber(value);
  if (special !== null) return { text: special, unit: scaleFor(0, unit).unit };
  if (unit === 'timestamp') {
    const date = new Date(value * 1000);
    const text = Number.isNaN(date.getTime()) ? String(value) : date.toLocaleString(locale, { dateStyle: 'medium', timeStyle: 'medium' });
    return { text, unit: '' };
  }
  const scale = scaleFor(value, unit);
  return { text: shortNumber(value / scale.factor, unit, locale), unit: scale.unit };
}

/** `12.3 MiB/s`: a quantity as one string, the unit held on by a no-break space. */
export function formatValue(value: number, unit: Unit, locale = 'en'): string {
  const quantity = formatQuantity(value, unit, locale);
  if (quantity.unit === '') return quantity.text;
  // A bare SI prefix belongs to its number: 1.2k, not "1.2 k".
  const glue = unit === 'number' ? '' : '\u00a0';
  return `${quantity.text}${glue}${quantity.unit}`;
}

/** Every digit that a sample has, as a table shows it. */
export function formatExact(value: number, locale = 'en'): string {
  const special = specialNumber(value);
  if (special !== null) return special;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-6 || size >= 1e15)) return value.toExponential();
  return new Intl.NumberFormat(locale, { maximumSignificantDigits: 10 }).format(value);
}

function decimalsOf(increment: number): number {
  for (let digits = 0; digits < 6; digits += 1) {
    const scaled = increment * 10 ** digits;
    if (Math.abs(scaled - Math.round(scaled)) < 1e-6 * Math.max(1, scaled)) return digits;
  }
  return 6;
}

/** All ticks of an axis with one prefix and the same number of decimals. */
export function formatTicks(ticks: readonly number[], unit: Unit, locale = 'en'): { labels: string[]; unit: string } {
  const largest = ticks.reduce((max, tick) => Math.max(max, Math.abs(tick)), 0);
  const scale = scaleFor(largest, unit);
  const increment = ticks.length > 1 ? Math.abs((ticks[1] ?? 0) - (ticks[0] ?? 0)) / scale.factor : largest / scale.factor;
  const digits = decimalsOf(increment);
  const format = new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return { labels: ticks.map((tick) => format.format(tick / scale.factor)), unit: scale.unit };
}

const DECIMAL_STEPS = [1, 2, 2.5, 5];

/** Round increments for an axis: powers of 1024 for bytes, clock steps for seconds, decimal else. */
export function tickIncrements(unit: Unit): number[] {
  const decimals = Array.from({ length: 27 }, (_, i) => 10 ** (i - 12)).flatMap((p) => DECIMAL_STEPS.map((s) => s * p));
  if (unit === 'bytes' || unit === 'bytes/s') {
    return Array.from({ length: 6 }, (_, i) => 1024 ** i).flatMap((p) => [1, 2, 5, 10, 20, 50, 100, 200, 500].map((s) => s * p));
  }
  if (unit === 'seconds') {
    const clock = [60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400, 172_800, 432_000, 864_000];
    return [...decimals.filter((step) => step < 60), ...clock, ...decimals.filter((step) => step > 864_000)];
  }
  return decimals;
}
