//! A filter as the kernel runs it, compiled by libpcap for a live interface: what it does not match never leaves the kernel.

use pcap::Capture;

/// Bytes of a filter's text, at most.
const TEXT_MAX: usize = 65_536;
/// The interface whose way of compiling is used for one that is not there yet. All that is told by it holds for Ethernet.
const STAND_IN: &str = "lo";

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
#[derive(Debug, thiserror::Error)]
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
}

/// The program that keeps `snaplen` bytes of every packet.
pub fn everything(snaplen: u32) -> Vec<Instruction> {
    vec![Instruction { code: RETURN, jt: 0, jf: 0, k: snaplen }]
}

/// Compiles a filter for an interface. It is opened for that, because tags are looked for elsewhere than in a file; so it needs the same
/// rights as capturing.
pub fn compile(interface: &str, snaplen: u32, text: &str) -> Result<Vec<Instruction>, FilterError> {
    if text.len() > TEXT_MAX {
        return Err(FilterError::Long);
    }
    let refused = |e: pcap::Error| FilterError::Refused { interface: interface.to_string(), reason: e.to_string() };
    let open = |name: &str| Capture::from_device(name)?.snaplen(i32::try_from(snaplen).unwrap_or(i32::MAX)).promisc(false).open();
    let live = open(interface).or_else(|_| open(STAND_IN)).map_err(refused)?;
    let program = live.compile(text, true).map_err(refused)?;
    let instructions = program.get_instructions().iter().map(|i| instruction(&i.to_string()));
    let all: Option<Vec<Instruction>> = instructions.collect();
    let reason = || "libpcap's program cannot be read".to_string();
    all.ok_or_else(|| FilterError::Refused { interface: interface.to_string(), reason: reason() })
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
    fn an_instruction_is_read_from_its_numbers() {
        assert_eq!(instruction("21 0 3 2048"), Some(Instruction { code: 21, jt: 0, jf: 3, k: 2048 }));
        assert_eq!(instruction("21 0 3"), None);
    }
}
