//! The events of the detector `banking`: payments of bank customers to merchants, of the [`World`].

use super::world::{COUNTRIES, Dated, Days, NO_DEVICE, World};
use super::{Cell, Column, ColumnKind, Row, Settings, Simulator, time_us};
use crate::simulate::script::Channel;

const TRADES: [&str; 10] = [
    "grocery",
    "fuel",
    "restaurant",
    "pharmacy",
    "fashion",
    "electronics",
    "travel",
    "games",
    "jewellery",
    "exchange",
];

/// Payments of bank customers.
pub(super) struct Banking(Days);

impl Banking {
    const COLUMNS: [Column; 10] = [
        Column::new("transaction_id", ColumnKind::Integer),
        Column::new("timestamp", ColumnKind::Time),
        Column::new("user_id", ColumnKind::Text),
        Column::new("merchant", ColumnKind::Text),
        Column::new("country", ColumnKind::Text),
        Column::new("type", ColumnKind::Text),
        Column::new("amount", ColumnKind::Money),
        Column::new("is_fraud", ColumnKind::Integer),
        Column::new("device_id", ColumnKind::Text),
        Column::new("attack", ColumnKind::Text),
    ];

    pub(super) fn new(settings: &Settings) -> Self {
        Self(Days::new(settings))
    }
}

impl Simulator for Banking {
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
    row.write(format_args!("U{:06}", payment.customer));
    row.write(format_args!("{}-{:05}", TRADES[payment.terminal as usize % TRADES.len()], payment.terminal));
    row.push(Cell::Text(COUNTRIES[payment.country as usize].0));
    row.push(Cell::Text(match payment.channel {
        Channel::Chip | Channel::Contactless => "pos",
        Channel::Online => "online",
        Channel::Atm => "atm",
        Channel::Transfer => "transfer",
    }));
    row.money(payment.amount_minor);
    row.integer(payment.attack > 0);
    match payment.device {
        NO_DEVICE => row.write(format_args!("T{}", payment.terminal)),
        device => row.write(format_args!("D{}-{device}", payment.customer)),
    }
    row.write(format_args!("{}", world.attack_name(payment.attack)));
}
