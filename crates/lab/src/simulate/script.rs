//! Attack scripts: what fraudsters do, as files that can be edited.
//!
//! A script says who is hit and how often, and either phases of payments, an overlay on payments that are made anyway, or a chain
//! of transfers. `detectors/attacks/card-testing.toml` shows and explains the format. Everything wrong in all files is
//! reported at once.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use toml_span::Span;
use toml_span::value::{Table, Value, ValueInner};

/// A kind of attack.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Its name, which its frauds carry.
    pub name: String,
    /// Who is hit.
    pub target: Target,
    /// The chance that one of them is hit on a day.
    pub per_day: f64,
    /// How many days it can last.
    pub days: u32,
    /// What is done.
    pub deed: Deed,
}

/// Who is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A customer.
    Customer,
    /// A terminal, and so those who pay there.
    Terminal,
}

/// What an attack is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// Payments of its own, phase after phase.
    Phases(Vec<Phase>),
    /// Payments that are made anyway.
    Overlay(Overlay),
    /// From account to account.
    Chain(Chain),
}

/// A row of payments. Ranges are drawn from evenly.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// How many.
    pub payments: (f64, f64),
    /// The hour at which the first phase begins.
    pub hours: (f64, f64),
    /// Seconds from the last payment to the first of a later phase.
    pub begins_s: (f64, f64),
    /// Seconds from one payment to the next.
    pub gap_s: (f64, f64),
    /// How much.
    pub amount: Amount,
    /// Where.
    pub place: Place,
    /// How, with weights.
    pub channels: Vec<(Channel, f64)>,
    /// Whether the device is one never seen.
    pub new_device: bool,
}

/// How much is paid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// Between two amounts, in units of the currency.
    Absolute(f64, f64),
    /// Between two multiples of the victim's mean.
    TimesUsual(f64, f64),
}

/// Where is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Within the victim's reach.
    Near,
    /// Anywhere.
    Unknown,
    /// Anywhere, the same for all of a phase.
    One,
    /// In another country.
    Abroad,
}

/// How is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// A card with its chip.
    Chip,
    /// A card held near.
    Contactless,
    /// On the net.
    Online,
    /// Cash.
    Atm,
    /// From account to account.
    Transfer,
}

/// What becomes of payments that are made anyway.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overlay {
    /// The share of them that is fraud.
    pub share: f64,
    /// What their amounts are multiplied by.
    pub times_usual: (f64, f64),
}

/// A chain of transfers that ends as cash.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chain {
    /// Transfers before the cash-out.
    pub hops: (f64, f64),
    /// The share that each passes on.
    pub keep: (f64, f64),
}

/// The scripts that are shipped, by the names of their files.
pub const SHIPPED: [(&str, &str); 8] = [
    ("account-takeover.toml", include_str!("../../../../detectors/attacks/account-takeover.toml")),
    ("bust-out.toml", include_str!("../../../../detectors/attacks/bust-out.toml")),
    ("card-testing.toml", include_str!("../../../../detectors/attacks/card-testing.toml")),
    ("compromised-terminal.toml", include_str!("../../../../detectors/attacks/compromised-terminal.toml")),
    ("foreign-merchant.toml", include_str!("../../../../detectors/attacks/foreign-merchant.toml")),
    ("mule-chain.toml", include_str!("../../../../detectors/attacks/mule-chain.toml")),
    ("stolen-card-spree.toml", include_str!("../../../../detectors/attacks/stolen-card-spree.toml")),
    ("unknown-merchant.toml", include_str!("../../../../detectors/attacks/unknown-merchant.toml")),
];

/// The shipped scripts.
pub fn shipped() -> Arc<[Script]> {
    static SCRIPTS: LazyLock<Arc<[Script]>> = LazyLock::new(|| {
        parse_all(SHIPPED.iter().copied()).unwrap_or_else(|wrong| panic!("{wrong:?}")).into()
    });
    Arc::clone(&SCRIPTS)
}

/// The scripts of a folder, by the names of their files; none in an empty one.
///
/// # Errors
/// Everything that is wrong in any of them, one line each, with file and line.
pub fn read(folder: &Path) -> Result<Arc<[Script]>, Vec<String>> {
    let unreadable = |error: std::io::Error| vec![format!("{}: {error}", folder.display())];
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    let texts: Result<Vec<(String, String)>, Vec<String>> = files
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path)
                .map_err(|error| vec![format!("{}: {error}", path.display())])?;
            Ok((path.display().to_string(), text))
        })
        .collect();
    let texts = texts?;
    Ok(parse_all(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())))?.into())
}

/// More would not fit the number that a payment carries.
const SCRIPTS_MAX: usize = 200;

pub(super) fn parse_all<'a>(
    files: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Script>, Vec<String>> {
    let (mut scripts, mut mistakes): (Vec<Script>, Vec<String>) = (Vec::new(), Vec::new());
    for (file, text) in files {
        match parse(file, text) {
            Ok(script) if scripts.iter().any(|known| known.name == script.name) => {
                mistakes.push(format!("{file}: another file has the name `{}` already", script.name));
            }
            Ok(script) => scripts.push(script),
            Err(wrong) => mistakes.extend(wrong),
        }
    }
    if scripts.len() > SCRIPTS_MAX {
        mistakes.push(format!("{} scripts, expected at most {SCRIPTS_MAX}", scripts.len()));
    }
    if mistakes.is_empty() { Ok(scripts) } else { Err(mistakes) }
}

/// One script.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(file: &str, text: &str) -> Result<Script, Vec<String>> {
    let mut reader = Reader { file, text, mistakes: Vec::new() };
    let mut root = match toml_span::parse(text) {
        Ok(root) => root,
        Err(error) => {
            reader.add(error.span, error.kind.to_string());
            return Err(reader.mistakes);
        }
    };
    let script = reader.table(&mut root, "the file").map(|table| reader.script(table));
    match script {
        Some(script) if reader.mistakes.is_empty() => Ok(script),
        _ => Err(reader.mistakes),
    }
}

const TARGETS: [(&str, Target); 2] = [("customer", Target::Customer), ("terminal", Target::Terminal)];
const PLACES: [(&str, Place); 4] =
    [("near", Place::Near), ("unknown", Place::Unknown), ("one", Place::One), ("abroad", Place::Abroad)];
const CHANNELS: [(&str, Channel); 5] = [
    ("chip", Channel::Chip),
    ("contactless", Channel::Contactless),
    ("online", Channel::Online),
    ("atm", Channel::Atm),
    ("transfer", Channel::Transfer),
];
const DEVICES: [(&str, bool); 2] = [("own", false), ("new", true)];

/// Reads a file and collects what is wrong with it. A wrong value is replaced by a harmless one, so that reading goes on.
struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    mistakes: Vec<String>,
}

impl Reader<'_> {
    fn add(&mut self, at: Span, message: impl std::fmt::Display) {
        let line = self.text.get(..at.start).map_or(1, |before| before.matches('\n').count() + 1);
        self.mistakes.push(format!("{}, line {line}: {message}", self.file));
    }

    fn table<'de>(&mut self, value: &mut Value<'de>, what: &str) -> Option<Table<'de>> {
        let at = value.span;
        match value.take() {
            ValueInner::Table(table) => Some(table),
            other => {
                self.add(at, format!("{what} is {}, expected a table", other.type_str()));
                None
            }
        }
    }

    fn script(&mut self, mut table: Table) -> Script {
        let name = self.text_of(&mut table, "name").unwrap_or_default();
        let target = self.word(&mut table, "target", &TARGETS, Target::Customer);
        let per_day = self.range_of(&mut table, "per_day", true, (0.0, 1.0)).map_or(0.0, |range| range.0);
        let days = self.range_of(&mut table, "days", true, (1.0, 60.0)).map_or(1.0, |range| range.0);
        let deeds = ["phase", "overlay", "chain"].map(|key| table.contains_key(key));
        if deeds.iter().filter(|has| **has).count() != 1 {
            self.add(Span::new(0, 0), "expected one of [[phase]], [overlay] and [chain]");
        }
        let deed = if let Some(mut overlay) = table.remove("overlay") {
            self.overlay(&mut overlay)
        } else if let Some(mut chain) = table.remove("chain") {
            self.chain(&mut chain)
        } else {
            let phases = table.remove("phase");
            self.phases(phases)
        };
        self.refuse_unknown(&table, "the file", "name, target, per_day, days, phase, overlay, chain");
        Script { name, target, per_day, days: days as u32, deed }
    }

    fn phases(&mut self, value: Option<Value>) -> Deed {
        let Some(mut value) = value else { return Deed::Phases(Vec::new()) };
        let at = value.span;
        let ValueInner::Array(items) = value.take() else {
            self.add(at, "phase: expected tables that start with [[phase]]");
            return Deed::Phases(Vec::new());
        };
        let mut phases = Vec::new();
        for mut item in items {
            let span = item.span;
            if let Some(table) = self.table(&mut item, "[[phase]]") {
                phases.push(self.phase(table, span, phases.is_empty()));
            }
        }
        Deed::Phases(phases)
    }

    fn phase(&mut self, mut table: Table, at: Span, is_first: bool) -> Phase {
        const DAY: f64 = 86_400.0;
        let payments = self.range_of(&mut table, "payments", true, (1.0, 1_000.0)).unwrap_or((1.0, 1.0));
        let hours = self.range_of(&mut table, "hours", is_first, (0.0, 24.0)).unwrap_or((0.0, 24.0));
        let begins_s =
            self.range_of(&mut table, "begins_s", !is_first, (0.0, 60.0 * DAY)).unwrap_or((0.0, 0.0));
        let gap_s = self.range_of(&mut table, "gap_s", true, (0.0, 60.0 * DAY)).unwrap_or((0.0, 0.0));
        let amount = self.amount(&mut table, at);
        let place = self.word(&mut table, "place", &PLACES, Place::Unknown);
        let channels = self.channels(&mut table, at);
        let new_device = self.word(&mut table, "device", &DEVICES, false);
        self.refuse_unknown(
            &table,
            "[[phase]]",
            "payments, hours, begins_s, gap_s, amount, times_usual, place, channels, device",
        );
        Phase { payments, hours, begins_s, gap_s, amount, place, channels, new_device }
    }

    fn amount(&mut self, table: &mut Table, at: Span) -> Amount {
        let absolute = self.range_of(table, "amount", false, (0.01, 1_000_000.0));
        let times = self.range_of(table, "times_usual", false, (0.01, 1_000.0));
        match (absolute, times) {
            (Some((low, high)), None) => Amount::Absolute(low, high),
            (None, Some((low, high))) => Amount::TimesUsual(low, high),
            _ => {
                self.add(at, "a phase has either `amount` or `times_usual`");
                Amount::TimesUsual(1.0, 1.0)
            }
        }
    }

    fn channels(&mut self, table: &mut Table, at: Span) -> Vec<(Channel, f64)> {
        let Some(mut value) = table.remove("channels") else {
            self.add(at, "[[phase]] lacks `channels`, expected weights as { online = 1.0 }");
            return vec![(Channel::Online, 1.0)];
        };
        let Some(entries) = self.table(&mut value, "channels") else { return vec![(Channel::Online, 1.0)] };
        let mut channels = Vec::new();
        for (key, value) in entries {
            let weight = value.as_float().or_else(|| value.as_integer().map(|number| number as f64));
            match (CHANNELS.iter().find(|(name, _)| *name == key.name), weight) {
                (Some((_, channel)), Some(weight)) if weight > 0.0 && weight.is_finite() => {
                    channels.push((*channel, weight))
                }
                (None, _) => {
                    let known = CHANNELS.map(|(name, _)| name).join(", ");
                    self.add(key.span, format!("channels has `{}`, expected one of {known}", key.name));
                }
                _ => self.add(value.span, format!("the weight of `{}` must be a number above 0", key.name)),
            }
        }
        if channels.is_empty() {
            self.add(at, "channels: expected at least one");
            channels.push((Channel::Online, 1.0));
        }
        channels
    }

    fn overlay(&mut self, value: &mut Value) -> Deed {
        let mut table = self.table(value, "[overlay]").unwrap_or_default();
        let share = self.range_of(&mut table, "share", true, (0.0, 1.0)).map_or(0.0, |range| range.0);
        let times_usual =
            self.range_of(&mut table, "times_usual", true, (0.01, 1_000.0)).unwrap_or((1.0, 1.0));
        self.refuse_unknown(&table, "[overlay]", "share, times_usual");
        Deed::Overlay(Overlay { share, times_usual })
    }

    fn chain(&mut self, value: &mut Value) -> Deed {
        let mut table = self.table(value, "[chain]").unwrap_or_default();
        let hops = self.range_of(&mut table, "hops", true, (1.0, 20.0)).unwrap_or((1.0, 1.0));
        let keep = self.range_of(&mut table, "keep", true, (0.01, 1.0)).unwrap_or((1.0, 1.0));
        self.refuse_unknown(&table, "[chain]", "hops, keep");
        Deed::Chain(Chain { hops, keep })
    }

    fn text_of(&mut self, table: &mut Table, key: &str) -> Option<String> {
        let Some(mut value) = table.remove(key) else {
            self.add(Span::new(0, 0), format!("lacks the key `{key}`"));
            return None;
        };
        let at = value.span;
        match value.take() {
            ValueInner::String(text) if !text.is_empty() && text.len() <= 64 => Some(text.into_owned()),
            _ => {
                self.add(at, format!("`{key}` must be a text of 1 to 64 bytes"));
                None
            }
        }
    }

    fn word<T: Copy>(&mut self, table: &mut Table, key: &str, known: &[(&str, T)], otherwise: T) -> T {
        let Some(value) = table.remove(key) else { return otherwise };
        let found = value.as_str().and_then(|text| known.iter().find(|(name, _)| *name == text));
        match found {
            Some((_, of)) => *of,
            None => {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                let shown =
                    value.as_str().map_or(value.as_ref().type_str().to_string(), |text| format!("{text:?}"));
                self.add(value.span, format!("`{key}` is {shown}, expected one of {}", names.join(", ")));
                otherwise
            }
        }
    }

    /// A number, or two of them from low to high, within bounds.
    fn range_of(
        &mut self,
        table: &mut Table,
        key: &str,
        is_needed: bool,
        bounds: (f64, f64),
    ) -> Option<(f64, f64)> {
        let Some(value) = table.remove(key) else {
            if is_needed {
                self.add(Span::new(0, 0), format!("lacks the key `{key}`"));
            }
            return None;
        };
        let number =
            |value: &Value| value.as_float().or_else(|| value.as_integer().map(|number| number as f64));
        let pair = match value.as_array() {
            Some(items) if items.len() == 2 => number(&items[0]).zip(number(&items[1])),
            Some(_) => None,
            None => number(&value).map(|number| (number, number)),
        };
        let (low, high) = bounds;
        let is_within = |(from, to): &(f64, f64)| *from >= low && from <= to && *to <= high;
        let found = pair.filter(is_within);
        if found.is_none() {
            self.add(value.span, format!("`{key}` must be a number, or [from, to], within {low} and {high}"));
        }
        found
    }

    fn refuse_unknown(&mut self, table: &Table, what: &str, known: &str) {
        for key in table.keys() {
            self.add(key.span, format!("{what} has an unknown key `{}`; known: {known}", key.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_scripts_are_right_and_in_order() {
        let scripts = shipped();
        assert_eq!(scripts.len(), SHIPPED.len());
        assert!(
            scripts.iter().zip(SHIPPED).all(|(script, (file, _))| file == format!("{}.toml", script.name))
        );
    }

    #[test]
    fn everything_wrong_is_said_at_once_with_its_line() {
        let text = "name = \"x\"\ntarget = \"shop\"\nper_day = 2\ncolour = 1\n[[phase]]\npayments = [5, 2]\nhours = [0, 24]\n\
                    gap_s = [1, 2]\nplace = \"moon\"\nchannels = { carrier = 1, online = -1 }\n";
        let mistakes = parse("x.toml", text).unwrap_err();
        let has = |words: &[&str]| mistakes.iter().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(has(&["line 2", "`target`", "\"shop\"", "customer, terminal"]), "{mistakes:#?}");
        assert!(has(&["line 3", "`per_day`", "0 and 1"]));
        assert!(has(&["line 4", "unknown key `colour`"]));
        assert!(has(&["lacks the key `days`"]));
        assert!(has(&["line 6", "`payments`"]));
        assert!(has(&["line 9", "\"moon\""]));
        assert!(has(&["line 10", "`carrier`"]) && has(&["line 10", "weight of `online`"]));
        assert!(has(&["either `amount` or `times_usual`"]));
    }

    #[test]
    fn what_is_no_toml_is_said_to_be_none() {
        let mistakes = parse("x.toml", "name = ").unwrap_err();
        assert!(mistakes[0].starts_with("x.toml, line 1: "), "{mistakes:?}");
    }
}
