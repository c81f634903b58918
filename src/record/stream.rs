//! One stream's thread: from the kernel into the ring. It copies, indexes and hands over; it waits only where the disk's queue is full.

use super::desk::Desk;
use super::status::{InterfaceStatus, LinkState};
use crate::capture::{CaptureError, Link, Polled, Source};
use crate::packet::{LinkType, Packet};
use crate::ring::clock::ClockWatch;
use crate::ring::ids::StreamId;
use crate::ring::note::{Note, NoteKind};
use crate::ring::writer::{StreamWriter, WriteStopped};
use crate::time::{Timestamp, Window};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often what waits is handed over, how often the stream says up to where it is complete, and how long it waits for packets.
const TICK: Duration = Duration::from_millis(40);
/// What came is handed over at once if that was last done so long ago.
const APART: Duration = Duration::from_millis(30);
/// A packet can come so much later than another one of its time.
const LATE_NS: u64 = 20_000_000;
/// How often an interface that is down or missing is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// So long what the kernel still has is taken when recording ends; what is left then is counted.
const LAST_PACKETS: Duration = Duration::from_millis(700);

/// What a stream's thread has.
pub(super) struct Stream {
    pub source: Box<dyn Source>,
    /// Which of how many threads that share the interface's packets.
    pub fanout: (u16, u16),
    pub desk: Arc<Desk>,
    pub status: Arc<InterfaceStatus>,
    /// When to end, in nanoseconds since 1970: what comes from then on is not recorded. `u64::MAX` until that is known.
    pub end: Arc<AtomicU64>,
}

/// What is known while recording.
struct Recording {
    desk: Arc<Desk>,
    status: Arc<InterfaceStatus>,
    /// Which of those who share the interface this is.
    number: u16,
    writer: Option<(LinkType, StreamWriter)>,
    /// Since when the interface has been listened to without a break.
    since: Option<Timestamp>,
    /// When that ended the last time.
    ended: Timestamp,
    /// Up to when it is known that nothing is missing, and whether the last asking found nothing amiss.
    sure: Timestamp,
    is_sure: bool,
    end: Arc<AtomicU64>,
    newest: Timestamp,
    /// Up to where it was last said to be complete.
    complete_to: Timestamp,
    /// A packet has come that is so late that none from before the end can follow it.
    is_past_end: bool,
    /// The earliest packet since it was last asked for packets, if that is earlier than the asking.
    earliest: Timestamp,
    /// Packets, their bytes, and how many were cut, that the status does not tell yet.
    counted: (u64, u64, u64),
    handed_over: Instant,
    said: Instant,
    /// Packets that could not be written, and since when.
    unrecorded: (u64, Timestamp),
    /// Packets that the kernel and the interface dropped and no note tells yet, and since when.
    drops: (u64, u64, Timestamp),
}

impl Stream {
    /// Records until the end; the source, and why it ended earlier.
    pub(super) fn run(mut self) -> (Box<dyn Source>, Result<(), CaptureError>) {
        let (now, running) = (Timestamp::now(), Instant::now());
        let mut clock = ClockWatch::start(now, running);
        let mut recording = Recording {
            desk: self.desk.clone(),
            status: self.status.clone(),
            number: self.fanout.0,
            writer: None,
            since: None,
            ended: Timestamp::ZERO,
            sure: Timestamp::ZERO,
            is_sure: false,
            end: self.end.clone(),
            newest: Timestamp::ZERO,
            complete_to: Timestamp::ZERO,
            is_past_end: false,
            earliest: now,
            counted: (0, 0, 0),
            handed_over: running,
            said: running,
            unrecorded: (0, now),
            drops: (0, 0, now),
        };
        let mut stopping: Option<Instant> = None;
        let mut wait = TICK;
        let mut looked = running;
        let ended = loop {
            recording.sit_down(self.source.link_type(), self.fanout);
            recording.earliest = Timestamp::now();
            if recording.is_sure {
                recording.sure = recording.earliest;
            }
            let polled = match self.source.poll(wait, &mut |packet| recording.packet(packet)) {
                Ok(polled) => polled,
                Err(e) => break Err(e),
            };
            let (wall, running) = (Timestamp::now(), Instant::now());
            if let Some(step) = clock.look(wall, running) {
                tracing::warn!(before = %step.before, after = %step.after, "the clock was set");
                recording.clock_set(step.before, step.after);
            }
            match self.source.drops() {
                Ok(drops) => recording.count_drops(drops.kernel, drops.interface),
                Err(e) => break Err(e),
            }
            recording.link(&polled, wall);
            wait = recording.publish(&polled, wall, running);
            if polled.link != Link::Up && !polled.more && looked.elapsed() >= LOOK_EVERY {
                looked = running;
                if let Err(e) = self.source.look() {
                    break Err(e);
                }
            }
            let end = recording.ends();
            if end < Timestamp::MAX {
                let begun = *stopping.get_or_insert(running);
                let all = !polled.more && polled.complete_to.is_some_and(|t| t >= end) || recording.is_past_end;
                if all || polled.link != Link::Up && !polled.more {
                    break Ok(0);
                }
                if running.duration_since(begun) >= LAST_PACKETS {
                    break Ok(self.source.left_behind(end));
                }
                wait = wait.min(Duration::from_millis(5));
            }
        };
        if ended.is_err() {
            recording.end_stretch(Timestamp::now());
        }
        recording.end(*ended.as_ref().unwrap_or(&0));
        (self.source, ended.map(|_| ()))
    }
}

impl Recording {
    /// Gets a writer where there is none, or the interface's packets have become others.
    fn sit_down(&mut self, link_type: Option<LinkType>, (number, sharers): (u16, u16)) {
        let Some(link_type) = link_type else { return };
        if self.writer.as_ref().is_some_and(|w| w.0 != link_type) || self.writer.is_some() && self.desk.has_failed() {
            self.stand_up();
        }
        if self.writer.is_none()
            && let Some(writer) = self.desk.take(StreamId::shared(number, sharers, link_type))
        {
            self.writer = Some((link_type, writer));
            let now = Timestamp::now();
            // What comes from here on is written: all that is later than the last packet that was not.
            let seen = if self.newest > Timestamp::ZERO { self.newest.saturating_add(1).min(now) } else { now };
            self.since = self.since.map(|since| since.max(seen));
            let (packets, from) = std::mem::take(&mut self.unrecorded);
            if packets > 0 {
                let window = Window { from: from.min(seen), to: seen };
                self.write(|w| w.note(Note { window, kind: NoteKind::Unrecorded { packets } }));
            }
        }
    }

    fn ends(&self) -> Timestamp {
        Timestamp::from_nanos(self.end.load(Ordering::Relaxed))
    }

    fn stand_up(&mut self) {
        self.write(StreamWriter::close_segment);
        if let Some((_, writer)) = self.writer.take() {
            self.desk.give_back(writer, false);
        }
    }

    fn write(&mut self, what: impl FnOnce(&mut StreamWriter) -> Result<(), WriteStopped>) {
        let Some((_, writer)) = &mut self.writer else { return };
        if what(writer).is_err()
            && let Some((_, writer)) = self.writer.take()
        {
            self.desk.give_back(writer, true);
        }
    }

    fn packet(&mut self, packet: &Packet<'_>) {
        let end = self.ends();
        if packet.time >= end {
            self.is_past_end |= packet.time >= end.saturating_add(LATE_NS);
            return;
        }
        self.newest = self.newest.max(packet.time);
        self.earliest = self.earliest.min(packet.time);
        match &mut self.writer {
            Some((_, writer)) => {
                if writer.append(packet).is_err() {
                    self.write(|_| Err(WriteStopped));
                    return self.lose(packet);
                }
                self.counted.0 += 1;
                self.counted.1 += packet.data.len() as u64;
                self.counted.2 += u64::from(packet.is_truncated());
            }
            None => self.lose(packet),
        }
    }

    fn lose(&mut self, packet: &Packet<'_>) {
        if self.unrecorded.0 == 0 {
            self.unrecorded.1 = packet.time;
        }
        self.unrecorded.0 += 1;
        InterfaceStatus::count(&self.status.unrecorded, 1);
    }

    fn clock_set(&mut self, before: Timestamp, after: Timestamp) {
        self.write(|w| w.clock_set(before, after));
        (self.newest, self.complete_to) = (Timestamp::ZERO, Timestamp::ZERO);
        (self.sure, self.ended) = (Timestamp::ZERO, Timestamp::ZERO);
        self.status.clock_set();
        self.since = self.since.map(|_| after);
        self.drops.2 = after;
    }

    fn count_drops(&mut self, kernel: u64, interface: u64) {
        InterfaceStatus::count(&self.status.kernel_drops, kernel);
        InterfaceStatus::count(&self.status.interface_drops, interface);
        self.drops.0 += kernel;
        self.drops.1 += interface;
        if self.drops.0 + self.drops.1 == 0 {
            self.drops.2 = Timestamp::now();
        }
    }

    fn tell_drops(&mut self) {
        let now = Timestamp::now();
        let (os, interface, from) = std::mem::replace(&mut self.drops, (0, 0, now));
        if os + interface > 0 {
            let window = Window { from: from.min(now), to: now };
            self.write(|w| w.note(Note { window, kind: NoteKind::Drops { os, interface } }));
        }
    }

    /// Ends a stretch of capture where the link went down, and begins one where it is up.
    fn link(&mut self, polled: &Polled, wall: Timestamp) {
        let state = LinkState::from(polled.link);
        self.status.set_link(self.number, state);
        self.status.saw(self.newest);
        self.is_sure = polled.complete_to.is_some();
        if polled.interrupted || state != LinkState::Up && !polled.more {
            self.end_stretch(wall);
        }
        if polled.interrupted {
            // What still waits may be from before and from after.
            self.ended = wall;
        }
        match (state, self.since) {
            (LinkState::Up, None) if polled.interrupted => self.since = Some(wall),
            // What was asked for has come in since before: sockets are open before anybody asks.
            (LinkState::Up, None) => self.since = Some(self.earliest.min(wall).max(self.ended)),
            // It came before it was known that the interface is back.
            (LinkState::Up, Some(since)) if self.earliest < since => self.since = Some(self.earliest.max(self.ended)),
            _ => {}
        }
    }

    /// Ends a stretch of capture that was broken some time before now: as far as is known, after the last packet.
    fn end_stretch(&mut self, wall: Timestamp) {
        let Some(since) = self.since.take() else { return };
        // Those who share the interface may have seen later ones.
        let newest = self.newest.max(self.status.newest());
        self.ended = self.sure.max(self.complete_to).max(newest.saturating_add(1)).max(since).min(wall);
        let to = self.ended;
        self.tell_drops();
        self.write(|w| w.publish_complete(wall, Window { from: since, to }));
        self.write(StreamWriter::close_segment);
    }

    /// Hands over what has waited, and says what is complete; how long to wait for packets now.
    fn publish(&mut self, polled: &Polled, wall: Timestamp, running: Instant) -> Duration {
        let (packets, bytes, truncated) = std::mem::take(&mut self.counted);
        InterfaceStatus::count(&self.status.packets, packets);
        InterfaceStatus::count(&self.status.bytes, bytes);
        InterfaceStatus::count(&self.status.truncated, truncated);
        let says = running.duration_since(self.said) >= TICK;
        if says {
            // Before anything is said to be complete over the time in which they were.
            self.said = running;
            self.tell_drops();
        }
        let since_last = running.duration_since(self.handed_over);
        if !polled.more && since_last >= APART {
            self.handed_over = running;
            self.write(StreamWriter::publish_early);
        } else {
            self.write(|w| w.publish_if_older(TICK));
        }
        if let Some(since) = self.since
            && says
        {
            let by_packets = self.newest.saturating_sub(LATE_NS);
            let complete_to = polled.complete_to.unwrap_or(Timestamp::ZERO).max(by_packets).min(wall);
            self.complete_to = self.complete_to.max(complete_to);
            self.write(|w| w.say_complete(complete_to, Window { from: since, to: complete_to }));
        }
        let waits = self.writer.as_ref().is_some_and(|(_, w)| w.has_waiting());
        if waits { APART.saturating_sub(running.duration_since(self.handed_over)).max(Duration::from_millis(1)) } else { TICK }
    }

    /// Ends; so many packets that had come are not recorded any more.
    fn end(&mut self, left_behind: u64) {
        let wall = Timestamp::now();
        self.tell_drops();
        let taken_to = self.newest.saturating_add(1);
        if left_behind > 0 {
            tracing::warn!("the end could not wait for {left_behind} packets that had come: they are counted as not recorded");
            InterfaceStatus::count(&self.status.unrecorded, left_behind);
            let from = self.newest.max(self.since.unwrap_or(Timestamp::ZERO));
            let window = Window { from, to: self.ends().min(wall).max(from.saturating_add(1)) };
            self.write(|w| w.note(Note { window, kind: NoteKind::Unrecorded { packets: left_behind } }));
        }
        if let Some(since) = self.since {
            let all = wall.saturating_sub(LATE_NS).max(taken_to).min(wall).min(self.ends());
            let to = if left_behind > 0 { taken_to } else { all };
            self.write(|w| w.publish_complete(to, Window { from: since, to }));
        }
        self.stand_up();
    }
}
