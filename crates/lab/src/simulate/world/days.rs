//! Days in turn, the next one made while the present one is read.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use super::super::{Calendar, Settings};
use super::{Payment, World};

/// Days that are made ahead.
const AHEAD: usize = 1;

/// The payments of a world, one by one.
pub(in crate::simulate) struct Days {
    world: Arc<World>,
    calendar: Calendar,
    threads: usize,
    made: Option<Receiver<(i64, Vec<Payment>)>>,
    day: i64,
    today: std::vec::IntoIter<Payment>,
}

/// A payment with its place in the stream.
pub(in crate::simulate) struct Dated {
    pub(in crate::simulate) id: i64,
    /// Days since 1970-01-01.
    pub(in crate::simulate) day: i64,
    pub(in crate::simulate) payment: Payment,
}

impl Days {
    pub(in crate::simulate) fn new(settings: &Settings) -> Days {
        let calendar = Calendar::new(settings);
        let world = Arc::new(World::new(settings));
        let threads = settings.threads.unwrap_or(0);
        Days { world, day: calendar.day, calendar, threads, made: None, today: Vec::new().into_iter() }
    }

    pub(in crate::simulate) fn world(&self) -> &World {
        &self.world
    }

    pub(in crate::simulate) fn next(&mut self) -> Option<Dated> {
        loop {
            if let Some(payment) = self.today.next() {
                let id = self.calendar.next_id()?;
                return Some(Dated { id, day: self.day, payment });
            }
            self.next_day()?;
        }
    }

    fn next_day(&mut self) -> Option<()> {
        self.day = self.calendar.next_day()?;
        let made = self.made.get_or_insert_with(|| begin(Arc::clone(&self.world), self.day, self.threads));
        let (day, mut payments) = made.recv().expect("days are made as long as they are read");
        debug_assert_eq!(day, self.day, "days come in turn");
        let first_second = self.calendar.first_second(day);
        payments.retain(|payment| i64::from(payment.second) >= first_second);
        self.today = payments.into_iter();
        Some(())
    }
}

/// Makes days from this one on, until nobody reads them any more; with 0 threads on as many as there are cores.
fn begin(world: Arc<World>, first: i64, threads: usize) -> Receiver<(i64, Vec<Payment>)> {
    let (sender, receiver) = sync_channel(AHEAD);
    std::thread::spawn(move || {
        let all = || (first..).try_for_each(|day| sender.send((day, world.day(day)))).is_ok();
        match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
            Ok(pool) => pool.install(all),
            // Without threads of their own, days are made by the threads that there are.
            Err(_) => all(),
        }
    });
    receiver
}
