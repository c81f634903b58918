//! Any bytes, as a packet of any link layer: two bytes of link type, little-endian, then the packet.

#![no_main]

use libfuzzer_sys::fuzz_target;
use taploop::packet::LinkType;
use taploop::wire::{Decoded, FlowKey, LAYERS_MAX, TAGS_MAX, decode};

fuzz_target!(|data: &[u8]| {
    let Some((link_type, packet)) = data.split_first_chunk() else { return };
    let mut out = Decoded::default();
    decode(LinkType(u16::from_le_bytes(*link_type)), packet, &mut out);
    assert!(out.layers.len() <= LAYERS_MAX && out.tags.len() <= TAGS_MAX);
    for layer in &out.layers {
        // A key either stands for the layer or the packet is one that no key vouches for.
        let _ = FlowKey::of(layer);
    }
    // What was found before must not change what is found now.
    let first = format!("{out:?}");
    decode(LinkType(u16::from_le_bytes(*link_type)), packet, &mut out);
    assert_eq!(first, format!("{out:?}"));
});
