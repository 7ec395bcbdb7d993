import { useMemo } from 'react';

import { useInstantQuery } from '../../hooks/useRangeQuery';
import { type Filesystem, joinFilesystems } from '../../lib/filesystems';
import { hostQueries } from '../../promql/queries';

export function useFilesystems(): Filesystem[] {
  const used = useInstantQuery(hostQueries.filesystemUsed()).data?.data;
  const limit = useInstantQuery(hostQueries.filesystemLimit()).data?.data;
  return useMemo(() => joinFilesystems(used, limit), [used, limit]);
}
