import { expect, it } from 'vitest';

import type { InstantData } from '../api/types';
import { joinFilesystems } from './filesystems';

const vector = (values: Record<string, number>): InstantData => ({
  resultType: 'vector',
  result: Object.entries(values).map(([mount, value]) => ({
    metric: { system_device: 'vda', system_filesystem_mountpoint: mount },
    value: [0, String(value)],
  })),
});

it('file systems come with their share, the fullest first', () => {
  const list = joinFilesystems(vector({ '/': 10, '/data': 90, '/full': 99 }), vector({ '/': 100, '/data': 100, '/full': 100 }));
  expect(list.map(({ mount, share, state }) => [mount, share, state])).toEqual([
    ['/full', 0.99, 'failing'],
    ['/data', 0.9, 'warning'],
    ['/', 0.1, 'ok'],
  ]);
});

it('what has no size or no value is left out', () => {
  expect(joinFilesystems(vector({ '/': 1, '/x': NaN }), vector({ '/': 0, '/x': 5 }))).toEqual([]);
  expect(joinFilesystems(vector({ '/': 1 }), undefined)).toEqual([]);
  expect(joinFilesystems({ resultType: 'scalar', result: [0, '1'] }, undefined)).toEqual([]);
});
