//! Another model or rulebook, between two transactions.

use super::*;

impl Core {
    /// Takes the models and rules of the newest lineup. What was decided by those of before is committed first, so that no row is
    /// decided by one of them in the database and by another in the topic because a transaction was given up. False if the
    /// database cannot say yet what they are to be called.
    pub(super) fn take_models(&mut self) -> Result<bool, TransactionError> {
        let Some(lineup) = self.shared.models.other_than(self.turn) else { return Ok(true) };
        self.commit_and_wait()?;
        let detector = &lineup.detector;
        let champion = lineup.champion.as_ref().map(|loaded| loaded.model.clone());
        let made_with = versions(detector, lineup.champion_id());
        let (ids, scorers): (Vec<&str>, Vec<Scorer>) = lineup.in_the_shadow().unzip();
        let mut all = vec![made_with.clone()];
        all.extend(ids.into_iter().map(|id| versions(detector, Some(id))));
        let numbers = match self.recorder.number(all) {
            Ok(numbers) => numbers,
            Err(error) => {
                self.stall(Stall::Store(format!("{error:#}")));
                return Ok(false);
            }
        };
        self.publisher.set_versions(&made_with);
        // The other cores are Kafka's, or other processes'.
        self.detector = Arc::clone(detector);
        self.decider = Decider::new(Arc::clone(&self.detector), champion).on_one_thread();
        self.challengers = Challengers::new(numbers[1..].iter().copied().zip(scorers).collect());
        (self.version, self.turn) = (numbers[0], Some(lineup.turn()));
        Ok(true)
    }
}
