/** How a reader can begin to send, as text to copy. */

export interface Ways {
  python: string;
  scrape: string;
  otlp: string;
}

export function waysToSend(origin: string, host: string): Ways {
  return {
    python: `import mirante\nmirante.configure(service_name="my-app", endpoint="${origin}")`,
    scrape: `scrape_configs:\n  - job_name: my-app\n    static_configs:\n      - targets: ["${host}:8000"]`,
    otlp: `export OTEL_EXPORTER_OTLP_ENDPOINT=${origin}`,
  };
}
