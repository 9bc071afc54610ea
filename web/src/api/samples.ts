/** Made-up answers of the server, for tests. */
import type { Alert, Contributions, Decision, DecisionSummary, DetectorInfo, LiveMessage, Outcome, Stats, WhatIf } from './types'

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

export function detector(): DetectorInfo {
  const window = { kind: 'window', of: null, delay: null, condition: null }
  const field = { values: [], optional: false }
  return {
    name: 'card-handbook',
    currency: 'EUR',
    fields: [
      { ...field, name: 'transaction_id', role: 'id' },
      { ...field, name: 'tx_datetime', role: 'time' },
      { ...field, name: 'tx_amount', role: 'amount' },
      { ...field, name: 'tx_fraud', role: 'label', optional: true },
      { ...field, name: 'customer_id', role: 'key' },
      { ...field, name: 'terminal_id', role: 'entity' },
      { ...field, name: 'channel', role: 'category', values: ['chip', 'online'], optional: true },
      { ...field, name: 'distance', role: 'number', optional: true },
    ],
    features: [
      { ...window, name: 'customer_count_1d', by: 'customer_id', aggregate: 'count', window: '1d', text: 'transactions of the customer in 1 day' },
      {
        ...window,
        name: 'terminal_risk_7d',
        by: 'terminal_id',
        aggregate: 'mean',
        of: 'label',
        window: '7d',
        delay: '3d',
        text: "share of fraud among the terminal's transactions in 7 days up to 3 days ago",
      },
    ],
    rules: [{ name: 'very_large', when: 'amount > 220.0', outcome: 'review' }],
    policy: { review_score_min: 0.3, review_cost: null, false_decline_cost: null, daily_review_budget: null },
  }
}

/** Two for fraud, one against it: from a base of -3 to a margin of -1. */
export function contributions(): Contributions {
  return {
    base: -3,
    margin: -1,
    contributions: [
      { feature: 'amount', value: 418.76, contribution: 2.5, text: 'amount is 418.76' },
      { feature: 'terminal_risk_7d', value: null, contribution: -0.75, text: 'no fraud is known of the terminal' },
      { feature: 'customer_count_1d', value: 3, contribution: 0.25, text: '3 transactions of the customer in 1 day' },
    ],
  }
}

export function whatIf(): WhatIf {
  const { contributions: before } = contributions()
  const event = { transaction_id: '7', terminal_id: '3156' }
  return {
    before: { event, score: 0.91, outcome: 'decline', rules: ['very_large'], contributions: before },
    after: {
      event: { ...event, tx_amount: 12.5 },
      score: 0.02,
      outcome: 'approve',
      rules: [],
      contributions: before.map((one) => (one.feature === 'amount' ? { ...one, value: 12.5, contribution: -1.5 } : one)),
    },
    changed: [{ name: 'amount', before: 418.76, after: 12.5 }],
  }
}

export function alert(id: number, entity: string): Alert {
  return {
    id,
    entity,
    state: 'open',
    version: 1,
    opened_at: '2026-01-01T00:00:00Z',
    due_at: '2026-01-01T04:00:00Z',
    overdue: false,
    first_event_time: '2018-08-08T13:00:00Z',
    last_event_time: '2018-08-08T15:00:00Z',
    transactions: 3,
    declined: 1,
    amount: 412.5,
    priority: 376.2,
    score: 0.91,
    outcome: 'decline',
    transaction_id: '7',
    reasons: [],
    rules: [],
    synthetic: null,
    assignee: null,
    disposition: null,
    closed_by: null,
    closed_at: null,
    reopen_asked_by: null,
  }
}
