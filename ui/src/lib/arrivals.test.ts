import { expect, it } from 'vitest';

import { waysToSend } from './arrivals';

it('each way names the server that the page came from', () => {
  const ways = waysToSend('http://127.0.0.1:8503', '127.0.0.1');
  expect(ways.python).toContain('endpoint="http://127.0.0.1:8503"');
  expect(ways.otlp).toBe('export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:8503');
  expect(ways.scrape).toContain('targets: ["127.0.0.1:8000"]');
});
