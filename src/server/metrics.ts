/** Figures of a server, as Prometheus reads them. */

const help = {
  connections_total: ['counter', 'Connections accepted.'],
  connections_refused_total: ['counter', 'Connections dropped before they proved a key.'],
  sessions_dropped_total: [
    'counter',
    'Sessions ended because the peer was late, broke a rule or held too much.',
  ],
  sessions: ['gauge', 'Sessions open now.'],
  pending: ['gauge', 'Connections that have not proved a key yet.'],
  uploads: ['gauge', 'Objects on their way in, those of lost connections included.'],
  held_bytes: ['gauge', 'Bytes held for all connections.'],
  received_bytes_total: ['counter', 'Bytes of content received.'],
  sent_bytes_total: ['counter', 'Bytes of content sent.'],
  objects_stored_total: ['counter', 'Objects stored, verified and acknowledged.'],
  objects_deleted_total: ['counter', 'Objects deleted.'],
  objects_refused_total: ['counter', 'Objects refused: not as sent, no right, no space, there already.'],
  requests_total: ['counter', 'Requests of all kinds.'],
  requests_failed_total: ['counter', 'Requests answered with an error.'],
} as const;

/** Name of a figure, without prefix. */
export type Figure = keyof typeof help;

/** Counts. */
export class Metrics {
  readonly #values = new Map<Figure, number>();

  add(name: Figure, value = 1): void {
    this.#values.set(name, (this.#values.get(name) ?? 0) + value);
  }

  set(name: Figure, value: number): void {
    this.#values.set(name, value);
  }

  get(name: Figure): number {
    return this.#values.get(name) ?? 0;
  }

  /** All figures in Prometheus' text format. @param residentBytes memory of the process */
  format(residentBytes: number): string {
    const lines: string[] = [];
    for (const [name, [type, text]] of Object.entries(help)) {
      const full = `backpack_server_${name}`;
      lines.push(`# HELP ${full} ${text}`, `# TYPE ${full} ${type}`, `${full} ${this.get(name as Figure)}`);
    }
    const memory = 'process_resident_memory_bytes';
    lines.push(
      `# HELP ${memory} Memory of the process.`,
      `# TYPE ${memory} gauge`,
      `${memory} ${residentBytes}`,
    );
    return `${lines.join('\n')}\n`;
  }
}
