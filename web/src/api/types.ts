import type { components } from './schema'

type Schemas = components['schemas']

export type Stats = Schemas['Stats']
export type TimelinePoint = Schemas['TimelinePoint']
export type DecisionSummary = Schemas['DecisionSummary']
export type DecisionPage = Schemas['DecisionPage']
export type Decision = Schemas['Decision']
export type Reason = Schemas['Reason']
export type ReasonList = Schemas['ReasonList']
export type LabelRequest = Schemas['LabelRequest']
export type LabelAccepted = Schemas['LabelAccepted']
export type LiveMessage = Schemas['LiveMessage']
export type Problem = Schemas['Problem']
export type Outcome = DecisionSummary['outcome']

export const OUTCOMES = ['approve', 'review', 'decline'] as const satisfies readonly Outcome[]
