import { ActionIcon, Button, NativeSelect, Popover, TextInput, Tooltip } from '@mantine/core';
import { type ReactNode, type SyntheticEvent, useState } from 'react';

import { useI18n } from '../i18n/context';
import { REFRESH_STEPS } from '../lib/location';
import { QUICK_RANGES, type TimeRange, formatLocal, formatZone, isLive, lastRange, parseInstant, quickRangeOf, resolveRange } from '../lib/range';
import { formatMoment } from '../lib/timeTicks';
import { Icon } from '../parts/icons';
import { useClock } from './clock';
import { useNavigation } from './navigation';
import classes from './shell.module.css';

const currentZone = (): string => formatZone(new Date().getTimezoneOffset());

/** An end of a range as the inputs show it: words stay, milliseconds become a local date. */
function asInput(text: string): string {
  return /^\d+$/.test(text) ? formatLocal(Number(text)) : text;
}

/** The reverse: a date is pinned to its moment, because a link must mean the same in another zone. */
function asLink(text: string): string {
  const trimmed = text.trim();
  if (trimmed.startsWith('now')) return trimmed;
  return String(parseInstant(trimmed, Date.now()) ?? trimmed);
}

function RangeForm({ range, onPick }: { range: TimeRange; onPick: (range: TimeRange) => void }): ReactNode {
  const { t } = useI18n();
  const [from, setFrom] = useState(asInput(range.from));
  const [to, setTo] = useState(asInput(range.to));
  const [wrong, setWrong] = useState(false);
  const apply = (event: SyntheticEvent): void => {
    event.preventDefault();
    const next = { from: asLink(from), to: asLink(to) };
    if (resolveRange(next, Date.now()) === null) setWrong(true);
    else onPick(next);
  };
  return (
    <form className={classes['rangeForm']} onSubmit={apply}>
      <div className={classes['quick']}>
        {QUICK_RANGES.map((duration) => (
          <Button
            key={duration}
            size="compact-sm"
            variant={quickRangeOf(range) === duration ? 'filled' : 'default'}
            aria-label={t('time.last', { duration })}
            onClick={() => onPick(lastRange(duration))}
          >
            {duration}
          </Button>
        ))}
      </div>
      <TextInput size="xs" label={t('time.from')} value={from} onChange={(event) => setFrom(event.currentTarget.value)} data-autofocus />
      <TextInput
        size="xs"
        label={t('time.to')}
        value={to}
        onChange={(event) => setTo(event.currentTarget.value)}
        error={wrong ? t('time.invalid') : undefined}
      />
      <div className={classes['rangeFoot']}>
        <span className="dim small">
          {t('time.hint')}
          <br />
          {t('time.zone', { zone: currentZone() })}
        </span>
        <Button type="submit" size="compact-sm">
          {t('time.apply')}
        </Button>
      </div>
    </form>
  );
}

function useRangeLabel(): string {
  const { t, locale } = useI18n();
  const { range } = useNavigation().state;
  const { window, nowMs } = useClock();
  const quick = quickRangeOf(range);
  if (quick !== null) return t('time.last', { duration: quick });
  return `${formatMoment(window.start, nowMs, locale)} – ${range.to === 'now' ? t('common.now') : formatMoment(window.end, nowMs, locale)}`;
}

function RangePicker({ open, onOpen }: { open: boolean; onOpen: (open: boolean) => void }): ReactNode {
  const { t } = useI18n();
  const { state, go } = useNavigation();
  const label = useRangeLabel();
  const pick = (range: TimeRange): void => {
    go({ range });
    onOpen(false);
  };
  return (
    <Popover opened={open} onChange={onOpen} position="bottom-end" width={320} trapFocus returnFocus transitionProps={{ duration: 0 }}>
      <Popover.Target>
        <Button
          variant="default"
          size="xs"
          className={classes['rangeButton']}
          leftSection={<Icon name="clock" />}
          onClick={() => onOpen(!open)}
          aria-label={`${t('time.open')}: ${label}`}
        >
          {label} <span className={`dim ${classes['zone']}`}>{currentZone()}</span>
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <RangeForm key={`${state.range.from} ${state.range.to}`} range={state.range} onPick={pick} />
      </Popover.Dropdown>
    </Popover>
  );
}

function RefreshPicker(): ReactNode {
  const { t } = useI18n();
  const { state, go } = useNavigation();
  const live = isLive(state.range);
  const steps = REFRESH_STEPS.some((step) => step === state.refresh) ? REFRESH_STEPS : [...REFRESH_STEPS, state.refresh];
  return (
    <Tooltip label={live ? t('refresh.every') : t('refresh.paused')}>
      <NativeSelect
        size="xs"
        className={classes['refreshSelect'] ?? ''}
        aria-label={t('refresh.every')}
        disabled={!live}
        value={live ? state.refresh : 'off'}
        onChange={(event) => go({ refresh: event.currentTarget.value }, 'replace')}
        data={steps.map((step) => ({ value: step, label: step === 'off' ? t('refresh.off') : step }))}
      />
    </Tooltip>
  );
}

/** Time range and refresh: one place, top right, the same on every view. */
export function TimeControls({ open, onOpen }: { open: boolean; onOpen: (open: boolean) => void }): ReactNode {
  const { t } = useI18n();
  const { refresh } = useClock();
  const { canZoomBack, zoomBack } = useNavigation();
  return (
    <div className={classes['time']}>
      {canZoomBack && (
        <Tooltip label={t('time.back')}>
          <ActionIcon variant="default" size={30} aria-label={t('time.back')} onClick={zoomBack}>
            <Icon name="back" />
          </ActionIcon>
        </Tooltip>
      )}
      <RangePicker open={open} onOpen={onOpen} />
      <div className={classes['refresh']}>
        <Tooltip label={t('refresh.now')}>
          <ActionIcon variant="default" size={30} aria-label={t('refresh.now')} onClick={refresh}>
            <Icon name="refresh" />
          </ActionIcon>
        </Tooltip>
        <RefreshPicker />
      </div>
    </div>
  );
}
