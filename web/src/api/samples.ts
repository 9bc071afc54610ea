/** Made-up answers of the server, for tests. */
import type {
  Alert,
  AuditEntry,
  BacktestReport,
  Contributions,
  Decision,
  DecisionSummary,
  DetectorInfo,
  Drift,
  FeatureDrift,
  Generation,
  GeneratorInfo,
  Health,
  HealthPart,
  ListPage,
  LiveMessage,
  ModelInfo,
  ModelPerformance,
  Outcome,
  Performance,
  RejectionPage,
  Retraining,
  RetrainingRun,
  RulebookNote,
  RulesInForce,
  RuleText,
  Stats,
  SyntheticReport,
  ThresholdPoint,
  WhatIf,
} from './types'

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

export function model(id: string, role: ModelInfo['role'] = 'champion', more: Partial<ModelInfo> = {}): ModelInfo {
  return {
    id,
    role,
    detector: 'card-handbook',
    algorithm: 'gbdt',
    engine: 'builtin',
    engine_version: '0.1.0',
    trees: 200,
    trained_from: '2018-07-01T00:00:00Z',
    trained_to: '2018-08-01T00:00:00Z',
    rows: 46_420,
    frauds: 195,
    seed: 0,
    fingerprint: 'b859',
    data_fingerprint: '77ad',
    made_at: '2026-01-01T00:00:00Z',
    metrics: { auc_roc: 0.94, average_precision: 0.61 },
    promotion: null,
    ...more,
  }
}

/** A threshold that alerts on this many of the frauds and of the genuine, of 100 and 9 900. */
export function threshold(score: number, frauds: number, genuine: number): ThresholdPoint {
  return {
    score,
    alerts_per_day: frauds + genuine,
    true_positives: frauds,
    false_negatives: 100 - frauds,
    false_positives: genuine,
    true_negatives: 9_900 - genuine,
    precision: frauds / (frauds + genuine),
    recall: frauds / 100,
    accuracy: 0.99,
    f1: 0.5,
    caught_amount_per_day: frauds * 50,
    cost_per_day: (100 - frauds) * 50 + genuine * 5,
  }
}

/** One model at five thresholds; the second one is in force. */
export function performance(more: Partial<Performance> = {}): Performance {
  const thresholds = [threshold(0.1, 95, 505), threshold(0.2, 90, 110), threshold(0.4, 80, 40), threshold(0.6, 60, 20), threshold(0.8, 20, 1)]
  const champion: ModelPerformance = {
    id: 'gbdt-1',
    role: 'champion',
    auc_roc: 0.97,
    average_precision: 0.7,
    brier: 0.004,
    calibration_error: 0.001,
    calibration: [{ mean_score: 0.1, fraud_share: 0.12, transactions: 100 }],
    card_precision: [{ k: 10, precision: 0.6, ceiling: 0.9 }],
    precision_recall: [{ score: 0.5, recall: 0.6, precision: 0.7 }],
    roc: [{ score: 0.5, false_positive_rate: 0.1, true_positive_rate: 0.8 }],
    thresholds,
  }
  return {
    models: [champion],
    transactions: 10_000,
    frauds: 100,
    days: 1,
    from: '2018-08-01T00:00:00Z',
    to: '2018-08-02T00:00:00Z',
    review_score_min: 0.2,
    review_cost: 5,
    false_decline_cost: 20,
    ...more,
  }
}

export function featureDrift(name: string, psi: number): FeatureDrift {
  return { name, psi, before: [0.5, 0.5], now: [0.4, 0.6], edges: [1], missing_before: 0, missing_now: 0.01, unseen: 0 }
}

export function drift(more: Partial<Drift> = {}): Drift {
  return {
    decisions: 5_000,
    from: '2018-08-01T00:00:00Z',
    to: '2018-08-02T00:00:00Z',
    reference: 'training',
    score: featureDrift('score', 0.02),
    features: [featureDrift('amount', 0.31), featureDrift('hour', 0.15), featureDrift('weekday', 0.01)],
    ...more,
  }
}

export function generator(name: string, more: Partial<GeneratorInfo> = {}): GeneratorInfo {
  return {
    name,
    id: `ctgan-${name}`,
    method: 'ctgan',
    rows: 20_000,
    frauds: 160,
    seen_from: '2018-07-01T00:00:00Z',
    seen_to: '2018-08-01T00:00:00Z',
    fingerprint: '91ab',
    seed: 7,
    epochs: 300,
    best_epoch: 240,
    training: false,
    fits: true,
    losses: [1, 100, 200, 300].map((epoch) => ({ epoch, generator: 2 - epoch / 300, critic: 0.5 + epoch / 1_000 })),
    told_apart: [100, 200, 300].map((epoch) => ({ epoch, distance: 1 - epoch / 400 })),
    ...more,
  }
}

export function generation(id: string, more: Partial<Generation> = {}): Generation {
  return {
    id,
    source: { simulator: 'card-handbook' },
    synthetic: 'simulator:card-handbook:7',
    state: 'running',
    rows: 1_000,
    done: 250,
    frauds: 10,
    labels: 8,
    rejected: 0,
    rate: 100,
    seed: 7,
    start: '2018-08-08T00:00:00Z',
    started_at: '2026-01-01T00:00:00Z',
    ended_at: null,
    fraud_share: null,
    detail: null,
    links: { decisions: '/v1/decisions?synthetic=simulator:card-handbook:7', self: `/v1/generate/${id}` },
    ...more,
  }
}

export function syntheticReport(more: Partial<SyntheticReport> = {}): SyntheticReport {
  const picture = (name: string) =>
    `<svg viewBox="0 0 300 150" role="img"><title>${name}</title><text style="fill:var(--ink);font-size:13px" x="6" y="15">${name}</text><rect style="fill:var(--real)" x="6" y="60" width="60" height="70"/><path style="fill:none;stroke:var(--synthetic)" d="M6,90L200,40"/></svg>`
  return {
    synthetic: 'simulator:card-handbook:7',
    real_rows: 2_000,
    synthetic_rows: 1_800,
    verdict: ['Fit for trying out rules and screens.', 'Not fit for training: boosted trees tell most rows apart.'],
    figures: {
      column_shapes: 0.912,
      pair_trends: 0.84,
      discriminator_auc: 0.78,
      distance_to_closest_record: { synthetic: 0.2, baseline: 0.21, ratio: 0.95 },
      exact_copies: { synthetic: 0, baseline: 0, ratio: 1 },
    },
    columns: [picture('amount'), picture('hour')],
    principal: picture('Principal components'),
    t_sne: picture('t-SNE'),
    ...more,
  }
}

export function health(more: Partial<Health> = {}): Health {
  const part = (name: string, more: Partial<HealthPart> = {}): HealthPart => {
    return { name, status: 'ok', detail: 'works', advice: null, figures: [], last_error: null, ...more }
  }
  return {
    status: 'degraded',
    parts: [
      part('source', { detail: '200 transactions a second from the simulator', figures: [{ name: 'rate', value: 198.4, unit: 'per_second' }] }),
      part('pipeline', {
        status: 'degraded',
        detail: '8100 of 8192 requests waiting',
        advice: 'Send less, or give the service another core.',
        figures: [
          { name: 'queue', value: 8_100, unit: 'count' },
          { name: 'p99', value: 1_240, unit: 'us' },
          { name: 'full', value: 0.988, unit: 'share' },
        ],
        last_error: { at: '2026-01-01T00:04:00Z', text: 'a request was refused: the queue was full' },
      }),
      part('disk', { detail: 'enough is free', figures: [{ name: 'free', value: 52_000_000_000, unit: 'bytes' }] }),
      part('kafka', { status: 'off', detail: 'not in use' }),
    ],
    ...more,
  }
}

export function rejections(more: Partial<RejectionPage> = {}): RejectionPage {
  return {
    stored: 12,
    kinds: [
      { reason: 'amount is not a number', count: 9, last_at: '2026-01-01T00:04:00Z' },
      { reason: 'transaction_id is missing', count: 3, last_at: '2026-01-01T00:03:00Z' },
    ],
    items: [
      {
        received_at: '2026-01-01T00:04:00Z',
        source: 'http',
        reason: 'amount is not a number',
        raw: '{"transaction_id":"9","amount":"a lot","terminal_id":"3156","customer_id":"596"}',
      },
      { received_at: '2026-01-01T00:03:00Z', source: 'transactions-0@1201', reason: 'transaction_id is missing', raw: '{}' },
    ],
    ...more,
  }
}

export function rule(name: string, more: Partial<RuleText> = {}): RuleText {
  const times = { from: null, expires: null }
  return { name, when: 'tx_amount > 500.0', outcome: 'review', stage: 'live', share: null, share_by: null, ...times, owner: 'ada', reason: 'case 17', ...more }
}

export function rulebookNote(number: number, more: Partial<RulebookNote> = {}): RulebookNote {
  return { number, at: '2026-01-01T00:00:00Z', by: 'ada', reason: 'case 17', change: 'rule large is new', fingerprint: '7d3c', ...more }
}

export function rulesInForce(more: Partial<RulesInForce> = {}): RulesInForce {
  return {
    number: 3,
    fingerprint: '7d3c',
    published: rulebookNote(3),
    rules: [rule('large'), rule('night', { stage: 'shadow', when: 'is_night(tx_datetime)' })],
    lists: [{ name: 'blocked', kind: 'deny', field: 'terminal_id', owner: 'ada', entries: 2 }],
    policy: { basis: { thresholds: { review: 0.5, decline: 0.9 } }, daily_review_budget: null },
    ...more,
  }
}

export function listPage(values: readonly string[], more: Partial<ListPage> = {}): ListPage {
  return {
    list: { name: 'blocked', kind: 'deny', field: 'terminal_id', owner: 'ada', entries: values.length },
    entries: values.map((value) => ({ value, reason: 'skimmer', owner: 'ada', expires: null })),
    found: values.length,
    ...more,
  }
}

export function retrainingRun(id: string, more: Partial<RetrainingRun> = {}): RetrainingRun {
  return {
    id,
    state: 'shadow',
    step: 'judge',
    progress: 4 / 6,
    trigger: 'maria: a new attack',
    started_at: '2026-01-01T00:00:00Z',
    ended_at: null,
    shadow_until: '2018-08-09T00:00:00Z',
    figures: { average_precision: 0.2165, rows: 28_752 },
    verdict: null,
    model: 'gbdt-2',
    detail: 'the challenger scores in the shadow',
    ...more,
  }
}

export function retraining(more: Partial<Retraining> = {}): Retraining {
  return {
    can_run: true,
    detail: null,
    schedule: '0 3 * * 1',
    time_zone: 'UTC',
    next_at: '2026-01-05T03:00:00Z',
    on_drift: true,
    promote: 'person',
    monitors: {
      checked_at: '2026-01-01T00:00:00Z',
      decisions: 3_484,
      psi_threshold: 0.25,
      missing_threshold: 0.1,
      psi_score: 0.5,
      psi_max: null,
      missing_max: 0.002,
      raised: [{ name: 'score', kind: 'psi', value: 0.5, threshold: 0.25, since: '2026-01-01T00:00:00Z' }],
      crossings: 1,
    },
    runs: [],
    ...more,
  }
}

export function auditEntry(number: number, more: Partial<AuditEntry> = {}): AuditEntry {
  const what = { action: 'rule.put', subject: '/v1/rules/large', detail: '', outcome: '200', hash: 'a39b' }
  return { number, at: '2026-01-01T00:00:00Z', by: 'anna', roles: 'engineer', ...what, ...more }
}

/** What a service with 20,000 simulated transactions answered (`card`, seed 4), its first three days. */
export function backtestReport(): BacktestReport {
  const none = { transactions: 0, amount: 0 }
  return {
    transactions: 20_000,
    days: 35,
    known: 16_234,
    frauds: 103,
    alerts_per_day: 7.771428571428571,
    cost: 2312.0100000000007,
    left_out: {},
    rule: {
      name: 'rule',
      when: 'tx_amount > 300.0',
      outcome: 'review',
      fired: 98,
      fired_per_day: 2.8,
      added_alerts_per_day: 0.4857142857142857,
      changes: [{ from: 'approve', to: 'review', transactions: 17 }],
      known: 87,
      frauds: 13,
      precision: 0.14942528735632185,
      recall: 0.1262135922330097,
      added_precision: 0,
      caught: none,
      stopped: none,
      reviewed: { transactions: 14, amount: 5359.92 },
      let_through: none,
      cost: 2382.0100000000007,
      overlap: [{ with: 'policy', both: 81, only_this: 17, only_that: 191, jaccard: 0.28027681660899656 }],
      by_day: [
        { date: '2018-04-01', transactions: 508, alerts: 6, added: 3, fired: 5, frauds: 1 },
        { date: '2018-04-02', transactions: 563, alerts: 25, added: 0, fired: 8, frauds: 1 },
        { date: '2018-04-03', transactions: 560, alerts: 20, added: 0, fired: 5, frauds: 0 },
      ],
    },
  }
}
