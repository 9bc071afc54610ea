/** An event of each shipped detector, as a first transaction and for the examples of the documentation. */

export type ExampleEvent = Readonly<Record<string, string | number>>

/**
 * At `now`, where the detector has dates. Null for a detector that is not shipped: only whoever wrote it knows its
 * fields.
 */
export function exampleEvent(detector: string, id: string, now: string): ExampleEvent | null {
  const at = `${now.slice(0, 19)}Z`
  const card = { transaction_id: id, tx_datetime: at, customer_id: '596', terminal_id: '3156', tx_amount: 57.16 }
  switch (detector) {
    case 'card':
      return { ...card, channel: 'online', country: 'BE' }
    case 'card-handbook':
      return card
    case 'banking':
      return {
        transaction_id: id,
        timestamp: at,
        user_id: 'U000024',
        amount: 57.16,
        merchant: 'fuel-00001',
        country: 'DE',
        type: 'pos',
      }
    case 'paysim':
      return {
        transaction_id: id,
        step: 1,
        type: 'TRANSFER',
        amount: 650.93,
        nameOrig: 'C797444707',
        oldbalanceOrg: 650.93,
        nameDest: 'C649632103',
        oldbalanceDest: 0,
      }
    case 'ulb':
      return { transaction_id: id, Time: 0, ...components(), Amount: 30.93 }
    default:
      return null
  }
}

/** V1 to V28 of a transaction. */
function components() {
  const first = [3.15, -0.19, -1.02, 0.17, -1.01, -0.74, 0.71, -1.73, -1.73, 2.25, 0.39, 0.2, -0.76, 0.14]
  const rest = [-2.17, 0.22, -0.03, -0.02, 0.45, -0.27, -0.61, -0.72, 0.33, 0.29, -0.06, -0.25, 0.29, -0.23]
  return Object.fromEntries([...first, ...rest].map((value, i) => [`V${i + 1}`, value]))
}
