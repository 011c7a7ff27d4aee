//! What really happens: true time, two clocks that may be wrong, an encoder, and the Owncast that it streams to.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use owncast_herald::decide::stream::Sight;

use crate::chance::Chance;

/// True seconds after an encoder connects until viewers can watch.
const ONLINE_AFTER: i64 = 9;
/// True seconds after which the first picture of a stream is there.
const PICTURE_AFTER: i64 = 20;

/// An encoder that is connected.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    /// True second in which it connected: tells it from all others.
    pub since: i64,
    stamp: Timestamp,
    pictures: bool,
}

/// What Owncast says, and which connection that is about.
pub struct Answer {
    pub sight: Sight,
    pub connection: Option<i64>,
}

/// How a connection went.
#[derive(Clone, Copy, Debug)]
pub struct Gone {
    /// True second.
    pub at: i64,
    /// Owncast can say when: it was not restarted.
    pub known: bool,
}

pub struct Truth {
    /// True seconds.
    pub now: i64,
    our_offset: i64,
    owncasts_offset: i64,
    pub encoder: Option<Encoder>,
    /// When the encoder comes or goes next.
    next: i64,
    disconnected: Option<Timestamp>,
    saved: Option<Timestamp>,
    /// This Owncast goes on telling of the last end while an encoder is connected.
    keeps_word: bool,
    back_at: i64,
    pub title: String,
    titles: u32,
    /// Every connection that has gone, by the second in which it came.
    pub gone: BTreeMap<i64, Gone>,
    /// A clock was set, and nobody has looked since.
    pub set: bool,
}

fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000).unwrap() + SignedDuration::from_secs(seconds)
}

impl Truth {
    pub fn new(chance: &mut Chance) -> Truth {
        Truth {
            now: 0,
            our_offset: chance.within(-5..=5),
            owncasts_offset: chance.pick(&[0, 0, 3, -40_000]),
            encoder: None,
            next: chance.within(1..=200),
            disconnected: None,
            saved: chance.percent(50).then(|| timestamp(-90_000)),
            keeps_word: chance.percent(30),
            back_at: 0,
            title: "Title 0.".to_owned(),
            titles: 0,
            gone: BTreeMap::new(),
            set: false,
        }
    }

    /// Our clock.
    pub fn ours(&self) -> Timestamp {
        timestamp(self.now + self.our_offset)
    }

    fn owncasts(&self) -> Timestamp {
        timestamp(self.now + self.owncasts_offset)
    }

    /// Time goes by, and the encoder comes and goes in it.
    pub fn pass(&mut self, chance: &mut Chance, seconds: i64) {
        let until = self.now + seconds;
        while self.next <= until {
            self.now = self.now.max(self.next);
            if self.encoder.is_some() {
                self.disconnect(chance);
            } else {
                self.connect(chance);
            }
        }
        self.now = until;
    }

    fn connect(&mut self, chance: &mut Chance) {
        if self.now < self.back_at {
            self.next = self.back_at;
            return;
        }
        let stamp = self.owncasts();
        self.encoder = Some(Encoder { since: self.now, stamp, pictures: chance.percent(70) });
        if !self.keeps_word {
            self.disconnected = None;
        }
        let lasts = match chance.weighted(&[2, 3, 5, 2]) {
            0 => 1..=40,
            1 => 40..=200,
            2 => 200..=2000,
            _ => 2000..=20_000,
        };
        self.next = self.now + chance.within(lasts);
    }

    fn disconnect(&mut self, chance: &mut Chance) {
        // Set back behind the connection, Owncast's word cannot be told from an old one.
        let known = self.encoder.is_some_and(|encoder| encoder.stamp <= self.owncasts());
        self.leave(known);
        self.disconnected = Some(self.owncasts());
        if chance.percent(70) {
            self.saved = self.disconnected;
        }
        let away = match chance.weighted(&[4, 3, 3, 2]) {
            0 => 1..=25,
            1 => 25..=300,
            2 => 300..=1500,
            _ => 1500..=15_000,
        };
        self.next = self.now + chance.within(away);
    }

    fn leave(&mut self, known: bool) {
        if let Some(encoder) = self.encoder.take() {
            self.gone.insert(encoder.since, Gone { at: self.now, known });
            if self.gone.len() > 50 {
                self.gone.pop_first();
            }
        }
    }

    /// Owncast dies and comes back with what it had saved.
    pub fn restart(&mut self, chance: &mut Chance) {
        let running = self.encoder.is_some();
        self.leave(false);
        let word = self.disconnected;
        self.disconnected = if chance.percent(50) { self.saved } else { None };
        if self.disconnected != word {
            self.gone.values_mut().for_each(|gone| gone.known = false);
        }
        self.back_at = self.now + chance.within(1..=60);
        if running {
            self.next = self.back_at + chance.pick(&[1, 3, 8, 20, 100, 3000]);
        }
    }

    /// Nobody reaches Owncast for a while; it goes on all the same.
    pub fn cut(&mut self, chance: &mut Chance) {
        let long = chance.pick(&[10, 60, 300, 4000]);
        // An encoder that comes meanwhile waits: it comes by the same network.
        self.back_at = self.back_at.max(self.now + chance.within(5..=long));
    }

    /// The streamer gives another title, one he had before, or none.
    pub fn retitle(&mut self, chance: &mut Chance) {
        self.titles += 1;
        self.title = match chance.within(1..=6) {
            1 => String::new(),
            2 => format!("Title {}.", self.titles.saturating_sub(2)),
            _ => format!("Title {}.", self.titles),
        };
    }

    /// One of the clocks is set an hour forward or back.
    pub fn set_clock(&mut self, chance: &mut Chance) -> Option<(&'static str, i64)> {
        if self.set {
            return None;
        }
        self.set = true;
        let by = chance.pick(&[3600, -3600]);
        Some(if chance.percent(50) {
            self.our_offset += by;
            ("ours", by)
        } else {
            self.owncasts_offset += by;
            ("Owncast's", by)
        })
    }

    /// What Owncast answers, if it can be reached.
    pub fn answer(&self) -> Option<Answer> {
        let sight = Sight {
            at: self.ours(),
            server_time: self.owncasts(),
            connected: self.encoder.map(|encoder| encoder.stamp),
            disconnected: self.disconnected,
            online: self.encoder.is_some_and(|encoder| self.now >= encoder.since + ONLINE_AFTER),
            title: self.title.clone(),
        };
        let connection = self.encoder.map(|encoder| encoder.since);
        (self.now >= self.back_at).then_some(Answer { sight, connection })
    }

    /// The newest connection that began before a true second.
    pub fn newest_before(&self, second: i64) -> Option<i64> {
        let running = self.encoder.map(|encoder| encoder.since);
        let gone = self.gone.keys().copied();
        gone.chain(running).filter(|since| *since <= second).max()
    }

    /// A picture of this very stream exists.
    pub fn has_picture(&self) -> bool {
        self.encoder.is_some_and(|encoder| encoder.pictures && self.now >= encoder.since + PICTURE_AFTER)
    }
}
