#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| herd_fuzz::run("pipe", bytes));
