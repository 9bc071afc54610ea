/** Made-up answers of the server, for tests. */
import type { Decision, DecisionSummary, LiveMessage, Outcome, Stats } from './types'

export function decision(id: string, outcome: Outcome = 'approve', more: Partial<DecisionSummary> = {}): DecisionSummary {
  return {
    id,
    sequence: 7,
    key: '596',
    event_time: '2018-08-08T14:03:22Z',
    decided_at: '2026-01-01T00:00:00Z',
    amount: 57.16,
    score: 0.031,
    outcome,
    rules: [],
    reasons: [],
    late: false,
    latency_us: 38,
    synthetic: 'simulator:card-handbook:7',
    ...more,
  }
}

export function fullDecision(id: string, outcome: Outcome = 'approve'): Decision {
  return {
    ...decision(id, outcome),
    event: { transaction_id: id, terminal_id: '3156' },
    features: [
      { name: 'customer_count_1d', value: 3 },
      { name: 'terminal_risk_7d', value: null },
    ],
    versions: { detector: 'card-handbook', detector_fingerprint: '7c1e', model: null, rules: '3f9a' },
    label: null,
  }
}

export function stats(more: Partial<Stats> = {}): Stats {
  return {
    detector: 'card-handbook',
    model: 'gbdt-1',
    started_at: '2026-01-01T00:00:00Z',
    now: '2026-01-01T00:05:00Z',
    stream_time: '2018-08-08T14:03:22Z',
    source: { kind: 'simulator', rate_per_second: 200, time_factor: 864 },
    currency: 'EUR',
    totals: {
      decisions: 1_234_567,
      approved: 1_220_000,
      in_review: 12_000,
      declined: 2_567,
      rejected: 4,
      repeated: 2,
      late: 9,
      labels: 1_000,
      labelled_fraud: 8,
      synthetic: { decisions: 234_567, approved: 230_000, in_review: 4_000, declined: 567 },
    },
    rate_per_second: 198.4,
    latency_us: { count: 1_234_567, p50: 38, p90: 70, p99: 210, p999: 900, max: 4_200 },
    score_histogram: Array.from({ length: 50 }, () => 1),
    timeline: [],
    state: { entities: 100, events: 1_000, bytes: 48_000 },
    ...more,
  }
}

export function message(kind: LiveMessage['kind'], decisions: DecisionSummary[], skipped = 0): LiveMessage {
  const alerts = { open: 3, assigned: 1, overdue: 0, closed: 7, waiting_amount: 412.5 }
  return { kind, stats: stats(), decisions, skipped, generations: [], alerts, newest_alert: null }
}
