//! Where the terminals are, and which of them a customer can reach.

use crate::random::Stream;

/// The purpose of terminals' random numbers.
const TERMINAL: u64 = 2;
/// How far a customer goes to pay.
const RADIUS: f64 = 5.0;
/// The side of the book's map and the number of terminals on it.
const SIDE: f64 = 100.0;
const TERMINALS: f64 = 10_000.0;

/// Terminals in a grid of cells no narrower than the radius, so that whoever is within reach lies in the nine cells
/// around. A terminal in reach is drawn by rejection, which needs no list of terminals per customer.
pub(super) struct TerminalMap {
    side: f64,
    cells_per_side: usize,
    /// Where each cell begins in `places`; cells run along x first, and one more entry closes the last.
    starts: Vec<u32>,
    places: Vec<Place>,
}

#[derive(Clone, Copy)]
struct Place {
    x: f32,
    y: f32,
    terminal: u32,
}

impl Place {
    fn within_reach(&self, x: f32, y: f32) -> bool {
        let (dx, dy) = (self.x - x, self.y - y);
        dx * dx + dy * dy < (RADIUS * RADIUS) as f32
    }
}

impl TerminalMap {
    /// Terminals at uniform places on a square with the book's density.
    pub(super) fn new(seed: u64, terminals: u32) -> Self {
        let side = SIDE * (f64::from(terminals) / TERMINALS).sqrt();
        let cells_per_side = ((side / RADIUS) as usize).max(1);
        let mut map = Self { side, cells_per_side, starts: Vec::new(), places: Vec::new() };
        map.places = (0..terminals).map(|terminal| map.place(seed, terminal)).collect();
        let mut places = std::mem::take(&mut map.places);
        places.sort_by_key(|place| map.cell_of(place.x, place.y));
        map.starts = map.cell_starts(&places);
        map.places = places;
        map
    }

    /// The side of the square.
    pub(super) fn side(&self) -> f64 {
        self.side
    }

    /// The number of terminals.
    pub(super) fn len(&self) -> u32 {
        self.places.len() as u32
    }

    pub(super) fn any_within_reach(&self, x: f32, y: f32) -> bool {
        let rows = self.rows_around(x, y);
        rows.iter().any(|&(start, end)| self.places[start..end].iter().any(|place| place.within_reach(x, y)))
    }

    /// Any terminal within reach, each as likely as the others. There must be one.
    pub(super) fn pick(&self, x: f32, y: f32, rng: &mut Stream) -> u32 {
        let rows = self.rows_around(x, y);
        let candidates: usize = rows.iter().map(|(start, end)| end - start).sum();
        loop {
            let mut index = rng.below(candidates as u32) as usize;
            for &(start, end) in &rows {
                if index < end - start {
                    let place = self.places[start + index];
                    if place.within_reach(x, y) {
                        return place.terminal;
                    }
                    break;
                }
                index -= end - start;
            }
        }
    }

    fn place(&self, seed: u64, terminal: u32) -> Place {
        let mut rng = Stream::at(seed, TERMINAL, terminal.into(), 0);
        Place { x: rng.between(0.0, self.side) as f32, y: rng.between(0.0, self.side) as f32, terminal }
    }

    fn cell_starts(&self, places: &[Place]) -> Vec<u32> {
        let mut starts = vec![0; self.cells_per_side * self.cells_per_side + 1];
        for place in places {
            starts[self.cell_of(place.x, place.y) + 1] += 1;
        }
        for cell in 1..starts.len() {
            starts[cell] += starts[cell - 1];
        }
        starts
    }

    fn cell_of(&self, x: f32, y: f32) -> usize {
        self.step_of(y) * self.cells_per_side + self.step_of(x)
    }

    fn step_of(&self, at: f32) -> usize {
        ((f64::from(at) / self.side * self.cells_per_side as f64) as usize).min(self.cells_per_side - 1)
    }

    /// The places in the three rows of cells around, each a range; a row outside the map is empty.
    fn rows_around(&self, x: f32, y: f32) -> [(usize, usize); 3] {
        let column = self.step_of(x);
        let (first, last) = (column.saturating_sub(1), (column + 1).min(self.cells_per_side - 1));
        [-1, 0, 1].map(|offset| match self.step_of(y).checked_add_signed(offset) {
            Some(row) if row < self.cells_per_side => {
                let base = row * self.cells_per_side;
                (self.starts[base + first] as usize, self.starts[base + last + 1] as usize)
            }
            _ => (0, 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The grid is a shortcut: what it can pick is what a walk over all terminals finds.
    #[test]
    fn picks_exactly_the_terminals_within_the_radius() {
        let map = TerminalMap::new(3, 10_000);
        let mut rng = Stream::at(9, 0, 0, 0);
        for (x, y) in [(50.0, 50.0), (0.0, 0.0), (99.9, 3.0), (4.9, 95.1)] {
            let mut want: Vec<u32> = map
                .places
                .iter()
                .filter(|place| place.within_reach(x, y))
                .map(|place| place.terminal)
                .collect();
            let mut got: Vec<u32> = (0..20_000).map(|_| map.pick(x, y, &mut rng)).collect();
            want.sort_unstable();
            got.sort_unstable();
            got.dedup();
            assert_eq!(got, want, "around ({x}, {y})");
        }
    }

    #[test]
    fn a_single_terminal_is_found_from_everywhere() {
        let map = TerminalMap::new(0, 1);
        assert!(map.any_within_reach(0.0, 0.0) && map.any_within_reach(1.0, 1.0));
        assert_eq!(map.pick(0.5, 0.5, &mut Stream::at(0, 0, 0, 0)), 0);
    }
}
