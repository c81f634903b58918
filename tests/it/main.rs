//! The real binary against its contract: a module a subject. What it answers is held against readers that share no code with it
//! (`plain`, `layers`, `scan`) and against tcpdump, tshark and capinfos.
//!
//! `TAPLOOP_CORPUS` names a folder of captures; without it the tests that need it are skipped, and say so. With `TAPLOOP_CI=1` a skip
//! is a failure.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops where it is")]

mod analysis;
mod layers;
mod make;
mod net;
mod plain;
mod scan;
mod segments;
mod smbd;
mod support;

mod cli;
mod corpus;
mod coverage;
mod damage;
mod faults;
mod formats;
mod full_disk;
mod hostile;
mod live;
mod objects_corpus;
mod objects_names;
mod objects_own;
mod objects_packets;
mod objects_ring;
mod order;
mod output;
mod packetisation;
mod pins;
mod random_loss;
mod record;
mod record_devices;
mod record_disk;
mod record_faults;
mod record_follow;
mod record_requests;
mod record_stalls;
mod samba;
mod spoilt;
mod told;
mod zeek_logs;
