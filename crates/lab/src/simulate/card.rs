//! The events of the detector `card`: card payments at terminals, of the [`World`].

use super::world::{COUNTRIES, Dated, Days, NO_DEVICE, World};
use super::{Cell, Column, ColumnKind, Row, Settings, Simulator, channel_name, time_us};
use crate::simulate::script::Channel;

/// Card payments.
pub(super) struct Card(Days);

impl Card {
    const COLUMNS: [Column; 13] = [
        Column::new("transaction_id", ColumnKind::Integer),
        Column::new("tx_datetime", ColumnKind::Time),
        Column::new("customer_id", ColumnKind::Integer),
        Column::new("terminal_id", ColumnKind::Integer),
        Column::new("tx_amount", ColumnKind::Money),
        Column::new("channel", ColumnKind::Text),
        Column::new("country", ColumnKind::Text),
        Column::new("tx_fraud", ColumnKind::Integer),
        Column::new("tx_fraud_scenario", ColumnKind::Integer),
        Column::new("card_id", ColumnKind::Text),
        Column::new("device_id", ColumnKind::Text),
        Column::new("merchant_id", ColumnKind::Integer),
        Column::new("attack", ColumnKind::Text),
    ];

    pub(super) fn new(settings: &Settings) -> Self {
        Self(Days::new(settings))
    }
}

/// Terminals of a merchant.
const TERMINALS_PER_MERCHANT: u32 = 3;

impl Simulator for Card {
    fn columns(&self) -> &'static [Column] {
        &Self::COLUMNS
    }

    fn rows_per_day(&self) -> f64 {
        self.0.world().rows_per_day()
    }

    fn next(&mut self, row: &mut Row) -> bool {
        row.clear();
        let Some(dated) = self.0.next() else { return false };
        write(&dated, self.0.world(), row);
        true
    }
}

fn write(Dated { id, day, payment }: &Dated, world: &World, row: &mut Row) {
    row.integer(*id);
    row.push(Cell::TimeUs(time_us(*day, payment.second)));
    row.integer(payment.customer);
    row.integer(payment.terminal);
    row.money(payment.amount_minor);
    // A card cannot transfer: it pays on the net.
    let channel = if payment.channel == Channel::Transfer { Channel::Online } else { payment.channel };
    let is_missing = world.is_channel_missing(payment.terminal, *day);
    row.push(if is_missing { Cell::Missing } else { Cell::Text(channel_name(channel)) });
    row.push(Cell::Text(COUNTRIES[payment.country as usize].0));
    row.integer(payment.attack > 0);
    row.integer(payment.attack);
    row.write(format_args!("{}-{}", payment.customer, payment.card));
    match payment.device {
        NO_DEVICE => row.write(format_args!("T{}", payment.terminal)),
        device => row.write(format_args!("D{}-{device}", payment.customer)),
    }
    row.integer(payment.terminal / TERMINALS_PER_MERCHANT);
    row.write(format_args!("{}", world.attack_name(payment.attack)));
}
