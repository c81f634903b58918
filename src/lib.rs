//! Taploop keeps a loop of recent traffic for every interface and cuts from it, exactly and at once.
//!
//! The modules stand in the order a packet travels; each uses only those above it.

// Moments and windows, in nanoseconds, UTC.
pub mod time;

// A packet, and the number of its link layer.
pub mod packet;

// What will be read soon.
pub mod prefetch;

// Header views: link layers, tags, IP, tunnels, ports; flow keys; Community ID.
pub mod wire;

// pcap and pcapng files, read and written.
pub mod pcap;

// How packets arrive: live interfaces, through packet sockets or libpcap.
pub mod capture;

// How packets rest: segments, index, publishing, sealing, recovery, retention, reading.
pub mod ring;

// The selection: parsed, printed, planned against an index, judged on one packet.
pub mod select;

// How packets leave: rings merged in time order, as pcapng or pcap, with coverage.
pub mod cut;

// Bytes join: one direction's assembler, the table of connections, gaps, overlaps, late starts.
pub mod flow;

// SMB1, SMB2, SMB3: one file a command; sessions, trees, open files; decryption, decompression.
pub mod smb;

// DCE/RPC over pipes and TCP: one file an interface that is decoded.
pub mod rpc;

// NTLMSSP and Kerberos: which account, which host, which domain.
pub mod identity;

// Files form: ranges with holes, hashing, content store, provenance.
pub mod objects;

// Things told, as Zeek names them, and their JSON.
pub mod events;

// The one place that joins packets, flow, smb, rpc, identity, objects and events.
pub mod analyze;

// Capture files into rings.
pub mod import;

// Live interfaces into rings.
pub mod record;

// The commands.
pub mod cli;
