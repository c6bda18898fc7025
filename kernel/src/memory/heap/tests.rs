//! The heap on memory of the host: what is counted, kept, cut and given up.

use super::*;

#[test]
fn blocks_come_and_go_and_are_counted() {
    let heap = Heap::empty();
    let layout = Layout::from_size_align(100, 8).unwrap();
    // SAFETY: a heap without memory answers null.
    assert!(unsafe { heap.alloc(layout) }.is_null());

    let memory = vec![0_u64; 1 << 12].leak();
    let start = memory.as_mut_ptr() as usize;
    // SAFETY: leaked memory is nobody else's.
    unsafe { heap.add(start, start + (1 << 15)) };
    // SAFETY: the layout is valid, the block is freed once.
    unsafe {
        let block = heap.alloc(layout);
        assert!(!block.is_null());
        assert_eq!(heap.usage().used, 128);
        assert_eq!(heap.usage().reserved, 128);
        heap.dealloc(block, layout);
    }
    assert_eq!(heap.usage().used, 0);
}

#[test]
fn a_freed_small_block_is_the_next_of_its_size() {
    let heap = Heap::empty();
    let memory = vec![0_u64; 1 << 13].leak();
    let start = memory.as_mut_ptr() as usize;
    // SAFETY: leaked memory is nobody else's.
    unsafe { heap.add(start, start + (1 << 16)) };
    let layouts = [(1, 1), (16, 8), (17, 1), (8, 64), (512, 16), (513, 8), (4096, 4096)]
        .map(|(size, align)| Layout::from_size_align(size, align).unwrap());
    // SAFETY: each block is freed once, with the layout it was asked for with.
    unsafe {
        let blocks = layouts.map(|layout| (heap.alloc(layout), layout));
        for (n, (block, layout)) in blocks.iter().enumerate() {
            assert!(!block.is_null() && block.addr() % layout.align() == 0, "{layout:?}");
            let end = |(block, layout): &(*mut u8, Layout)| block.addr() + layout.size();
            for other in &blocks[..n] {
                let apart = end(other) <= block.addr() || end(&blocks[n]) <= other.0.addr();
                assert!(apart, "{other:?} {layout:?}");
            }
        }
        for (block, layout) in blocks {
            heap.dealloc(block, layout);
        }
        let [small, ..] = layouts;
        let again = heap.alloc(small);
        assert!(again == blocks[0].0 || again == blocks[1].0);
        heap.dealloc(again, small);
    }
    assert_eq!(heap.usage().used, 0);
    // Many at a time, in any order.
    let small = Layout::from_size_align(32, 8).unwrap();
    // SAFETY: as above.
    unsafe {
        let blocks: std::vec::Vec<_> = (0..100).map(|_| heap.alloc(small)).collect();
        assert!(blocks.iter().all(|block| !block.is_null()));
        assert_eq!(heap.usage().used, 3200);
        blocks.into_iter().for_each(|block| heap.dealloc(block, small));
    }
    assert_eq!(heap.usage().used, 0);
}

#[test]
fn small_blocks_of_all_sizes_fill_a_chunk_without_a_gap() {
    let heap = Heap::empty();
    let memory = vec![0_u64; 3 << 10].leak();
    let start = (memory.as_mut_ptr() as usize).next_multiple_of(4096);
    // SAFETY: leaked memory is nobody else's.
    unsafe { heap.add(start, start + 8192) };
    let layouts = [16, 512, 16, 256, 32, 128, 64, 64, 32, 512]
        .map(|size| Layout::from_size_align(size, 16).unwrap());
    let wanted: usize = layouts.iter().map(Layout::size).sum();
    // SAFETY: each block is freed once, with the layout it was asked for with.
    unsafe {
        let blocks = layouts.map(|layout| heap.alloc(layout));
        assert!(blocks.iter().all(|block| block.addr() - start < 8192));
        assert_eq!(heap.usage(), HeapUsage { used: wanted, reserved: wanted, total: 8192 });
        // The rest of one chunk, and all of the other.
        let small = Layout::from_size_align(16, 16).unwrap();
        let mut rest: std::vec::Vec<_> =
            (0..(8192 - wanted) / 16).map(|_| heap.alloc(small)).collect();
        rest.extend(blocks);
        rest.sort_unstable();
        rest.dedup();
        assert_eq!(rest.len(), (8192 - wanted) / 16 + layouts.len());
        assert!(rest.iter().all(|block| !block.is_null()));
        assert!(heap.alloc(small).is_null());
    }
    assert_eq!(heap.usage().used, 8192);
}

#[test]
fn what_is_given_up_is_in_no_use() {
    let heap = Heap::empty();
    let memory = vec![0_u64; 16 << 10].leak();
    let start = (memory.as_mut_ptr() as usize).next_multiple_of(1 << 16);
    // SAFETY: leaked memory is nobody else's.
    unsafe { heap.add(start, start + (1 << 16)) };
    let layout = Layout::from_size_align(1 << 10, 8).unwrap();
    // SAFETY: the layout is valid.
    let block = unsafe { heap.alloc(layout) }.addr();
    let blocks = heap.give_up(1 << 13);
    let sizes: std::vec::Vec<_> = blocks.iter().map(|block| block.len()).collect();
    assert_eq!(sizes, [1 << 15, 1 << 14], "the rest is too small, or all that is left");
    assert!(blocks.iter().all(|range| !range.contains(&block)));
    assert_eq!(heap.usage(), HeapUsage { used: 1 << 10, reserved: 1 << 10, total: 1 << 14 });
    for block in blocks {
        // SAFETY: it was given up.
        unsafe { heap.add(block.start, block.end) };
    }
    assert_eq!(heap.usage(), HeapUsage { used: 1 << 10, reserved: 1 << 10, total: 1 << 16 });
}
