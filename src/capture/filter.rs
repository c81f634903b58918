//! A filter as the kernel runs it, compiled by libpcap for a live interface: what it does not match never leaves the kernel.

use crate::packet::LinkType;
use pcap::{Capture, Linktype};

/// Bytes of a filter's text, at most.
const TEXT_MAX: usize = 65_536;
/// The interface whose way of compiling is used for one that is not there yet, or not up. All that is told by it holds for Ethernet.
const STAND_IN: &str = "lo";
/// Raw IP as libpcap numbers it on Linux.
const DLT_RAW: i32 = 12;

/// The kinds of packets that packet sockets give as they are: Ethernet, raw IP, 802.11 without and with a radio header.
const LINK_TYPES: [LinkType; 4] = [LinkType::ETHERNET, LinkType(101), LinkType(105), LinkType(127)];

/// One instruction of classic BPF (`sock_filter`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// How many instructions to pass over if it holds.
    pub jt: u8,
    /// And if it does not.
    pub jf: u8,
    /// Its operand.
    pub k: u32,
}

/// `BPF_RET | BPF_K`: the packet matches, and so many bytes of it are kept.
const RETURN: u16 = 0x06;

/// Why a filter cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FilterError {
    /// Far too long.
    #[error("the filter has more than {TEXT_MAX} bytes: write a shorter one")]
    Long,
    /// libpcap does not take it.
    #[error("the filter cannot be used on {interface}: {reason}")]
    Refused {
        /// The interface.
        interface: String,
        /// What libpcap says.
        reason: String,
    },
    /// Tags are found by a live interface of Ethernet only.
    #[error(
        "the filter for {interface} names VLANs, which libpcap compiles only by an interface that is up: `ip link set lo up`"
    )]
    Tags {
        /// The interface.
        interface: String,
    },
}

/// The program that keeps `snaplen` bytes of every packet.
pub fn everything(snaplen: u32) -> Vec<Instruction> {
    vec![Instruction { code: RETURN, jt: 0, jf: 0, k: snaplen }]
}

/// The program that keeps none.
pub fn nothing() -> Vec<Instruction> {
    vec![Instruction { code: RETURN, jt: 0, jf: 0, k: 0 }]
}

/// A filter's programs: one for each kind of packets that packet sockets give, because an interface may be of another kind when it comes.
pub struct Programs(Vec<(LinkType, Result<Vec<Instruction>, FilterError>)>);

impl Programs {
    /// Those that keep `snaplen` bytes of every packet.
    pub fn everything(snaplen: u32) -> Programs {
        Programs(LINK_TYPES.map(|kind| (kind, Ok(everything(snaplen)))).into())
    }

    /// Those of a filter, for an interface whose packets are of kind `now`, if it is there. It needs the same rights as capturing: for
    /// Ethernet an interface is opened, because tags are looked for elsewhere than in a file.
    pub fn compile(interface: &str, now: Option<LinkType>, snaplen: u32, text: &str) -> Result<Programs, FilterError> {
        if text.len() > TEXT_MAX {
            return Err(FilterError::Long);
        }
        let refused = |e: pcap::Error| FilterError::Refused { interface: interface.to_string(), reason: e.to_string() };
        let bytes = i32::try_from(snaplen).unwrap_or(i32::MAX);
        let open = |name: &str| Capture::from_device(name)?.snaplen(bytes).promisc(false).open();
        let compile = |kind: LinkType| {
            let of_itself = (now == Some(kind)).then(|| open(interface)).and_then(Result::ok);
            let live = of_itself.or_else(|| (kind == LinkType::ETHERNET).then(|| open(STAND_IN)).and_then(Result::ok));
            let program = match live {
                Some(live) => live.compile(text, true),
                None if kind == LinkType::ETHERNET && names_tags(text) => {
                    return Err(FilterError::Tags { interface: interface.to_string() });
                }
                // Raw IP has a number of its own in handles.
                None => Capture::dead(Linktype(if kind == LinkType(101) { DLT_RAW } else { i32::from(kind.0) }))
                    .and_then(|dead| dead.compile(text, true)),
            };
            let program = program.map_err(refused)?;
            let instructions = program.get_instructions().iter().map(|i| instruction(&i.to_string()));
            let all: Option<Vec<Instruction>> = instructions.map(|i| i.map(|i| keeping(i, snaplen))).collect();
            let reason = || "libpcap's program cannot be read".to_string();
            all.ok_or_else(|| FilterError::Refused { interface: interface.to_string(), reason: reason() })
        };
        let programs = Programs(LINK_TYPES.map(|kind| (kind, compile(kind))).into());
        // The kind that it is, or else any.
        let fits = |kind: LinkType| now.is_none_or(|now| now == kind || !LINK_TYPES.contains(&now));
        let mut fitting = programs.0.iter().filter(|(kind, _)| fits(*kind)).map(|(_, program)| program);
        let needs_tags = fitting.clone().find(|p| matches!(p, Err(FilterError::Tags { .. })));
        match needs_tags.or_else(|| if fitting.clone().all(Result::is_err) { fitting.next() } else { None }) {
            Some(Err(e)) => Err(e.clone()),
            _ => Ok(programs),
        }
    }

    /// That for packets of a kind.
    pub fn of(&self, kind: LinkType) -> Result<Vec<Instruction>, FilterError> {
        self.0.iter().find(|(k, _)| *k == kind).map_or(Ok(nothing()), |(_, program)| program.clone())
    }
}

/// Whether a filter asks for tags, which the kernel has taken out of frames.
fn names_tags(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "vlan")
}

/// What is kept is kept up to the snap length.
fn keeping(i: Instruction, snaplen: u32) -> Instruction {
    if i.code == RETURN && i.k > 0 { Instruction { k: snaplen, ..i } } else { i }
}

/// From the four numbers of `tcpdump -ddd`, which is how the pcap crate shows an instruction.
fn instruction(text: &str) -> Option<Instruction> {
    let mut words = text.split(' ');
    let (code, jt, jf, k) = (words.next()?, words.next()?, words.next()?, words.next()?);
    Some(Instruction { code: code.parse().ok()?, jt: jt.parse().ok()?, jf: jf.parse().ok()?, k: k.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_compiled_for_each_kind_of_packets() {
        let (ethernet, raw) = (LinkType::ETHERNET, LinkType(101));
        let programs = Programs::compile("no-such-one", None, 1000, "icmp").unwrap();
        let loads = |kind| programs.of(kind).unwrap().iter().find(|i| i.code & 0x07 == 0).map(|i| i.k);
        assert_eq!((loads(ethernet), loads(raw)), (Some(12), Some(0)), "the ethertype, or the version");
        for kind in LINK_TYPES {
            let returns: Vec<u32> = programs.of(kind).unwrap().iter().filter(|i| i.code == RETURN).map(|i| i.k).collect();
            assert_eq!(returns.iter().max(), Some(&1000), "{kind:?} keeps what is asked for");
        }
        let programs = Programs::compile("no-such-one", None, 1000, "ether host 1:2:3:4:5:6").unwrap();
        assert!(programs.of(ethernet).is_ok());
        assert!(matches!(programs.of(raw), Err(FilterError::Refused { .. })), "said when it is one");
        assert!(Programs::compile("no-such-one", Some(raw), 1000, "ether host 1:2:3:4:5:6").is_err());
        assert!(Programs::compile("no-such-one", None, 1000, "no such filter").is_err());
        assert!(names_tags("ip or(vlan 5)") && !names_tags("host vlans.example"));
    }

    #[test]
    fn an_instruction_is_read_from_its_numbers() {
        assert_eq!(instruction("21 0 3 2048"), Some(Instruction { code: 21, jt: 0, jf: 3, k: 2048 }));
        assert_eq!(instruction("21 0 3"), None);
    }
}
