//! CPU policies: which features of its physical CPUs a partition is shown, and which parts of the extended state and which model-specific registers it
//! cannot reach, since they are there with features that are hidden.
//!
//! [`FEATURES`] is the one home of what a policy can name.

/// A word of CPUID in which features stand, as an index into [`CpuPolicy::hidden`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Word {
    /// Leaf 1, ECX.
    Leaf1Ecx,
    /// Leaf 1, EDX. Every CPU with long mode has what is named there.
    Leaf1Edx,
    /// Leaf 7, EBX.
    Leaf7Ebx,
    /// Leaf 7, ECX.
    Leaf7Ecx,
    /// Leaf 8000_0001h, ECX.
    ExtendedEcx,
    /// Leaf 8000_0001h, EDX.
    ExtendedEdx,
}

/// How many words there are.
pub const WORDS: usize = Word::ExtendedEdx as usize + 1;

/// Components of the extended state, as bits of XCR0 (Intel SDM volume 1, 13.3).
pub mod state {
    /// The x87 unit's, which cannot be turned off.
    pub const X87: u64 = 1 << 0;
    /// XMM registers.
    pub const SSE: u64 = 1 << 1;
    /// The upper halves of YMM registers.
    pub const AVX: u64 = 1 << 2;
    /// Mask registers, ZMM registers.
    pub const AVX_512: u64 = 0b111 << 5;
    /// Protection keys of user pages.
    pub const PROTECTION_KEYS: u64 = 1 << 9;
}

/// Model-specific registers that are there with features. Where all of these are hidden, they are, too: an access is a general-protection fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Msrs {
    /// What SYSENTER loads.
    SysEnter,
    /// The page attribute table.
    Pat,
    /// What RDTSCP and RDPID give.
    TscAux,
}

impl Msrs {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SysEnter, Self::Pat, Self::TscAux];

    /// As the manuals call them.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SysEnter => "IA32_SYSENTER_CS, IA32_SYSENTER_ESP, IA32_SYSENTER_EIP",
            Self::Pat => "IA32_PAT",
            Self::TscAux => "IA32_TSC_AUX",
        }
    }
}

/// A feature that a policy can hide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// As Linux's `/proc/cpuinfo` calls it.
    pub name: &'static str,
    /// Where it stands.
    pub word: Word,
    /// Its bit there.
    pub bit: u32,
    /// Components of the extended state that are there with it alone: denied when it is hidden.
    pub brings: u64,
    /// Components of which each must be there for it: it is hidden when one is denied.
    pub needs: u64,
    /// Registers that are there with it.
    pub msrs: Option<Msrs>,
}

/// What a partition is shown less than others, and may use less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuPolicy {
    /// Bits of each [`Word`] that read as zero.
    pub hidden: [u32; WORDS],
    /// Components of the extended state, as bits of XCR0, that it cannot turn on: their instructions stay undefined.
    pub denied_state: u64,
}

impl CpuPolicy {
    /// Nothing hidden of what partitions can have.
    pub const FULL: Self = Self {
        hidden: [0; WORDS],
        denied_state: 0,
    };

    /// All [`FEATURES`] hidden that a CPU may lack: x86-64-v2 (System V psABI for AMD64, 3.1.1) is left, and what kernels protect themselves with.
    pub const BASELINE: Self = {
        let mut policy = Self::FULL;
        let mut rest: &[Feature] = &FEATURES;
        while let [feature, others @ ..] = rest {
            if !matches!(feature.word, Word::Leaf1Edx) {
                policy = policy.without(feature);
            }
            rest = others;
        }
        policy
    };

    /// The policies that need no words, by their names.
    pub const BUILT_IN: [(&str, Self); 2] = [("full", Self::FULL), ("baseline", Self::BASELINE)];

    /// The same without a feature, and without those that need what it brings.
    #[must_use]
    pub const fn without(mut self, feature: &Feature) -> Self {
        self = self.hiding(feature);
        self.denied_state |= feature.brings;
        let mut rest: &[Feature] = &FEATURES;
        while let [other, others @ ..] = rest {
            if other.needs & self.denied_state != 0 {
                self = self.hiding(other);
            }
            rest = others;
        }
        self
    }

    /// True when these registers are hidden.
    pub fn denies(&self, msrs: Msrs) -> bool {
        let mut with_them = FEATURES.iter().filter(|one| one.msrs == Some(msrs));
        with_them.all(|one| self.hides(one))
    }

    /// True when the feature is hidden.
    pub const fn hides(&self, feature: &Feature) -> bool {
        self.word(feature.word) >> feature.bit & 1 != 0
    }

    /// What is hidden of a word.
    #[inline]
    pub const fn word(&self, word: Word) -> u32 {
        let [basic, basic_edx, ebx, ecx, extended_ecx, extended_edx] = self.hidden;
        match word {
            Word::Leaf1Ecx => basic,
            Word::Leaf1Edx => basic_edx,
            Word::Leaf7Ebx => ebx,
            Word::Leaf7Ecx => ecx,
            Word::ExtendedEcx => extended_ecx,
            Word::ExtendedEdx => extended_edx,
        }
    }

    const fn hiding(mut self, feature: &Feature) -> Self {
        let [basic, basic_edx, ebx, ecx, extended_ecx, extended_edx] = &mut self.hidden;
        let word = match feature.word {
            Word::Leaf1Ecx => basic,
            Word::Leaf1Edx => basic_edx,
            Word::Leaf7Ebx => ebx,
            Word::Leaf7Ecx => ecx,
            Word::ExtendedEcx => extended_ecx,
            Word::ExtendedEdx => extended_edx,
        };
        *word |= 1 << feature.bit;
        self
    }
}

/// The feature of this name.
pub fn feature(name: &str) -> Option<&'static Feature> {
    FEATURES.iter().find(|feature| feature.name == name)
}

const fn plain(name: &'static str, word: Word, bit: u32) -> Feature {
    state_of(name, word, bit, 0, 0)
}

const fn with(name: &'static str, word: Word, bit: u32, needs: u64) -> Feature {
    state_of(name, word, bit, 0, needs)
}

const fn state_of(name: &'static str, word: Word, bit: u32, brings: u64, needs: u64) -> Feature {
    Feature {
        name,
        word,
        bit,
        brings,
        needs,
        msrs: None,
    }
}

const fn reaching(name: &'static str, word: Word, bit: u32, msrs: Msrs) -> Feature {
    Feature {
        msrs: Some(msrs),
        ..plain(name, word, bit)
    }
}

/// What a policy can hide (Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E), word by word.
pub const FEATURES: [Feature; 50] = {
    use Word::{ExtendedEcx, ExtendedEdx, Leaf1Ecx, Leaf1Edx, Leaf7Ebx, Leaf7Ecx};
    use state::{AVX, AVX_512, PROTECTION_KEYS};
    [
        plain("pclmulqdq", Leaf1Ecx, 1),
        with("fma", Leaf1Ecx, 12, AVX),
        plain("movbe", Leaf1Ecx, 22),
        plain("aes", Leaf1Ecx, 25),
        state_of("xsave", Leaf1Ecx, 26, AVX | AVX_512 | PROTECTION_KEYS, 0),
        state_of("avx", Leaf1Ecx, 28, AVX | AVX_512, AVX),
        with("f16c", Leaf1Ecx, 29, AVX),
        plain("rdrand", Leaf1Ecx, 30),
        reaching("sep", Leaf1Edx, 11, Msrs::SysEnter),
        reaching("pat", Leaf1Edx, 16, Msrs::Pat),
        plain("fsgsbase", Leaf7Ebx, 0),
        plain("bmi1", Leaf7Ebx, 3),
        with("avx2", Leaf7Ebx, 5, AVX),
        plain("bmi2", Leaf7Ebx, 8),
        plain("erms", Leaf7Ebx, 9),
        plain("invpcid", Leaf7Ebx, 10),
        state_of("avx512f", Leaf7Ebx, 16, AVX_512, AVX_512),
        with("avx512dq", Leaf7Ebx, 17, AVX_512),
        plain("rdseed", Leaf7Ebx, 18),
        plain("adx", Leaf7Ebx, 19),
        with("avx512ifma", Leaf7Ebx, 21, AVX_512),
        plain("clflushopt", Leaf7Ebx, 23),
        plain("clwb", Leaf7Ebx, 24),
        with("avx512pf", Leaf7Ebx, 26, AVX_512),
        with("avx512er", Leaf7Ebx, 27, AVX_512),
        with("avx512cd", Leaf7Ebx, 28, AVX_512),
        plain("sha_ni", Leaf7Ebx, 29),
        with("avx512bw", Leaf7Ebx, 30, AVX_512),
        with("avx512vl", Leaf7Ebx, 31, AVX_512),
        with("avx512vbmi", Leaf7Ecx, 1, AVX_512),
        state_of("pku", Leaf7Ecx, 3, PROTECTION_KEYS, PROTECTION_KEYS),
        with("avx512_vbmi2", Leaf7Ecx, 6, AVX_512),
        plain("gfni", Leaf7Ecx, 8),
        with("vaes", Leaf7Ecx, 9, AVX),
        with("vpclmulqdq", Leaf7Ecx, 10, AVX),
        with("avx512_vnni", Leaf7Ecx, 11, AVX_512),
        with("avx512_bitalg", Leaf7Ecx, 12, AVX_512),
        with("avx512_vpopcntdq", Leaf7Ecx, 14, AVX_512),
        reaching("rdpid", Leaf7Ecx, 22, Msrs::TscAux),
        plain("cldemote", Leaf7Ecx, 25),
        plain("movdiri", Leaf7Ecx, 27),
        plain("movdir64b", Leaf7Ecx, 28),
        plain("abm", ExtendedEcx, 5),
        plain("sse4a", ExtendedEcx, 6),
        plain("misalignsse", ExtendedEcx, 7),
        with("xop", ExtendedEcx, 11, AVX),
        with("fma4", ExtendedEcx, 16, AVX),
        plain("tbm", ExtendedEcx, 21),
        plain("pdpe1gb", ExtendedEdx, 26),
        reaching("rdtscp", ExtendedEdx, 27, Msrs::TscAux),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_has_a_name_and_a_bit_of_its_own() {
        for (index, one) in FEATURES.iter().enumerate() {
            for other in &FEATURES[index + 1..] {
                assert_ne!(one.name, other.name);
                assert_ne!((one.word, one.bit), (other.word, other.bit), "{}", one.name);
            }
        }
    }

    #[test]
    fn baseline_hides_all_that_a_cpu_may_lack_and_full_nothing() {
        for one in &FEATURES {
            let lacked = one.word != Word::Leaf1Edx;
            assert_eq!(CpuPolicy::BASELINE.hides(one), lacked, "{}", one.name);
        }
        assert!(!FEATURES.iter().any(|one| CpuPolicy::FULL.hides(one)));
        let denied = CpuPolicy::BASELINE.denied_state;
        assert_eq!(denied, state::AVX | state::AVX_512 | state::PROTECTION_KEYS);
    }

    #[test]
    fn registers_are_hidden_with_the_last_feature_that_has_them() {
        let denied = |names: &[&str]| {
            let features = names.iter().map(|name| feature(name).unwrap());
            let policy = features.fold(CpuPolicy::FULL, |policy, one| policy.without(one));
            Msrs::ALL.map(|msrs| policy.denies(msrs))
        };
        assert_eq!(denied(&[]), [false; 3]);
        assert_eq!(denied(&["sep"]), [true, false, false]);
        assert_eq!(denied(&["pat", "rdtscp"]), [false, true, false]);
        assert_eq!(denied(&["rdpid"]), [false; 3]);
        assert_eq!(denied(&["rdpid", "rdtscp"]), [false, false, true]);
        let baseline = Msrs::ALL.map(|msrs| CpuPolicy::BASELINE.denies(msrs));
        assert_eq!(baseline, [false, false, true]);
    }

    #[test]
    fn what_needs_a_denied_component_is_hidden_with_it() {
        let policy = |name| CpuPolicy::FULL.without(feature(name).unwrap());
        let hides = |policy: &CpuPolicy, name| policy.hides(feature(name).unwrap());
        let no_avx = policy("avx");
        for name in [
            "avx",
            "avx2",
            "fma",
            "f16c",
            "vaes",
            "xop",
            "avx512f",
            "avx512_vnni",
        ] {
            assert!(hides(&no_avx, name), "{name}");
        }
        assert!(!hides(&no_avx, "xsave") && !hides(&no_avx, "pku") && !hides(&no_avx, "aes"));
        let no_avx512 = policy("avx512f");
        assert!(hides(&no_avx512, "avx512bw") && !hides(&no_avx512, "avx2"));
        assert_eq!(no_avx512.denied_state, state::AVX_512);
        assert_eq!(policy("rdrand").denied_state, 0);
        // One step is enough: whoever brings a component brings all that its dependents need.
        for one in &FEATURES {
            let once = CpuPolicy::FULL.without(one);
            assert_eq!(once.without(one), once, "{}", one.name);
            let dependents = FEATURES.iter().filter(|other| once.hides(other));
            for other in dependents.filter(|other| other.brings != 0) {
                assert_eq!(other.brings & !once.denied_state, 0, "{}", other.name);
            }
        }
    }
}
