//! Rules by number → classic BPF: a binary search over ranges, then the arguments of one call.
//!
//! Only loads, comparisons, `and` and returns are used, so that the kernel can tell beforehand which
//! calls are always allowed and skip the program for them.

use std::collections::BTreeMap;

use crate::runtime::kernel::confine::Instruction;

/// What the kernel does with a call, in its own encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict(pub(super) u32);

/// One rule about a call: if all conditions hold, this is the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) conditions: Vec<Condition>,
    pub(super) verdict: Verdict,
}

/// A comparison of one argument, all 64 bits of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) index: u32,
    pub(super) operator: Operator,
    pub(super) value: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    MaskedEqual { mask: u64 },
}

const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

#[cfg(target_arch = "x86_64")]
const OWN_ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const OWN_ARCHITECTURE: u32 = 0xc000_00b7;
/// From here on numbers are of the x32 convention.
#[cfg(target_arch = "x86_64")]
const FOREIGN_NUMBERS: Option<u32> = Some(0x4000_0000);
#[cfg(target_arch = "aarch64")]
const FOREIGN_NUMBERS: Option<u32> = None;

/// "No such system call".
const NO_SUCH_CALL: Verdict = Verdict(0x0005_0026);
const ERRNO: u32 = 0x0005_0000;
const ACTION_MASK: u32 = 0xffff_0000;

/// What is at the end of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Leaf {
    Verdict(Verdict),
    Arguments(Vec<Rule>, Verdict),
}

/// Compiles the rules; `None` if the kernel would not take so long a program.
///
/// Numbers above `newest` are calls that we have never heard of: where others are refused, these do
/// not exist, so that programs fall back to older ones.
pub(super) fn program(
    rules: &BTreeMap<u32, Vec<Rule>>,
    default: Verdict,
    newest: u32,
) -> Option<Vec<Instruction>> {
    let mut program = vec![
        load(ARCHITECTURE),
        jump(JUMP_EQUAL, OWN_ARCHITECTURE, 1, 0),
        answer(NO_SUCH_CALL),
        load(NUMBER),
    ];
    program.extend(search(&ranges(rules, default, newest))?);
    (program.len() <= MAX_INSTRUCTIONS).then_some(program)
}

const MAX_INSTRUCTIONS: usize = 4096;

/// Returns the first number of each range of calls that are answered alike.
fn ranges(rules: &BTreeMap<u32, Vec<Rule>>, default: Verdict, newest: u32) -> Vec<(u32, Leaf)> {
    let unknown = if default.0 & ACTION_MASK == ERRNO {
        NO_SUCH_CALL
    } else {
        default
    };
    let mut starts: BTreeMap<u32, Leaf> = BTreeMap::new();
    starts.insert(0, Leaf::Verdict(default));
    starts.insert(newest + 1, Leaf::Verdict(unknown));
    if let Some(foreign) = FOREIGN_NUMBERS {
        starts.insert(foreign, Leaf::Verdict(NO_SUCH_CALL));
    }
    for (number, list) in rules {
        let after = starts
            .range(..=number)
            .next_back()
            .map(|(_, leaf)| leaf.clone());
        starts.insert(*number, leaf(list, default));
        // What held before this number holds again after it.
        if let Some(after) = after.filter(|_| !rules.contains_key(&(number + 1))) {
            let after = if matches!(after, Leaf::Verdict(verdict) if verdict == unknown)
                && *number > newest
            {
                after
            } else {
                Leaf::Verdict(default)
            };
            starts.entry(number + 1).or_insert(after);
        }
    }
    let mut merged: Vec<(u32, Leaf)> = Vec::new();
    for (start, leaf) in starts {
        if merged.last().is_none_or(|(_, last)| *last != leaf) {
            merged.push((start, leaf));
        }
    }
    merged
}

fn leaf(rules: &[Rule], default: Verdict) -> Leaf {
    // A rule without conditions decides; those after it are never reached.
    match rules.iter().find(|rule| rule.conditions.is_empty()) {
        Some(rule) => Leaf::Verdict(rule.verdict),
        None => Leaf::Arguments(rules.to_vec(), default),
    }
}

fn search(ranges: &[(u32, Leaf)]) -> Option<Vec<Instruction>> {
    match ranges {
        [] => None,
        [(_, Leaf::Verdict(verdict))] => Some(vec![answer(*verdict)]),
        [(_, Leaf::Arguments(rules, default))] => arguments(rules, *default),
        _ => {
            let (lower, upper) = ranges.split_at(ranges.len() / 2);
            let (start, _) = upper.first()?;
            let (lower, upper) = (search(lower)?, search(upper)?);
            let mut program = Vec::with_capacity(lower.len() + upper.len() + 2);
            if let Ok(length) = u8::try_from(lower.len()) {
                program.push(jump(JUMP_GREATER_OR_EQUAL, *start, length, 0));
            } else {
                program.push(jump(JUMP_GREATER_OR_EQUAL, *start, 0, 1));
                program.push(jump(JUMP, u32::try_from(lower.len()).ok()?, 0, 0));
            }
            program.extend(lower);
            program.extend(upper);
            Some(program)
        }
    }
}

/// Where a comparison leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// The next instruction.
    On,
    /// The condition holds: to the next one.
    Holds,
    /// The rule does not hold: to the next rule.
    Fails,
}

#[derive(Debug, Clone, Copy)]
struct Draft {
    code: u16,
    operand: u32,
    goals: (Goal, Goal),
}

fn arguments(rules: &[Rule], default: Verdict) -> Option<Vec<Instruction>> {
    let mut program = Vec::new();
    for rule in rules {
        let conditions: Vec<Vec<Draft>> = rule.conditions.iter().map(condition).collect();
        let length: usize = conditions.iter().map(Vec::len).sum();
        let mut place = 0;
        for drafts in &conditions {
            let end = place + drafts.len();
            for draft in drafts {
                place += 1;
                let resolve = |goal| {
                    u8::try_from(match goal {
                        Goal::On => 0,
                        Goal::Holds => end - place,
                        // Past the rule's verdict.
                        Goal::Fails => length - place + 1,
                    })
                    .ok()
                };
                program.push(Instruction {
                    code: draft.code,
                    jump_true: resolve(draft.goals.0)?,
                    jump_false: resolve(draft.goals.1)?,
                    operand: draft.operand,
                });
            }
        }
        program.push(answer(rule.verdict));
    }
    program.push(answer(default));
    Some(program)
}

/// The kernel compares 32 bits at a time: the high half first, then the low one.
fn condition(condition: &Condition) -> Vec<Draft> {
    use Goal::{Fails, Holds, On};
    let Condition {
        index,
        operator,
        value,
    } = *condition;
    let low_at = ARGUMENTS + 8 * index;
    let halves = |value: u64| {
        let bytes = value.to_le_bytes();
        let half = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        (half(4), half(0))
    };
    let (high, low) = halves(value);
    let draft = |code, operand, yes, no| Draft {
        code,
        operand,
        goals: (yes, no),
    };
    let load_high = draft(LOAD, low_at + 4, On, On);
    let load_low = draft(LOAD, low_at, On, On);
    let ordered = |code, (low_yes, low_no), (high_greater, high_less)| {
        vec![
            load_high,
            draft(JUMP_GREATER, high, high_greater, On),
            draft(JUMP_EQUAL, high, On, high_less),
            load_low,
            draft(code, low, low_yes, low_no),
        ]
    };
    match operator {
        Operator::Equal => vec![
            load_high,
            draft(JUMP_EQUAL, high, On, Fails),
            load_low,
            draft(JUMP_EQUAL, low, Holds, Fails),
        ],
        Operator::NotEqual => vec![
            load_high,
            draft(JUMP_EQUAL, high, On, Holds),
            load_low,
            draft(JUMP_EQUAL, low, Fails, Holds),
        ],
        Operator::GreaterOrEqual => ordered(JUMP_GREATER_OR_EQUAL, (Holds, Fails), (Holds, Fails)),
        Operator::Greater => ordered(JUMP_GREATER, (Holds, Fails), (Holds, Fails)),
        Operator::Less => ordered(JUMP_GREATER_OR_EQUAL, (Fails, Holds), (Fails, Holds)),
        Operator::LessOrEqual => ordered(JUMP_GREATER, (Fails, Holds), (Fails, Holds)),
        Operator::MaskedEqual { mask } => {
            let (mask_high, mask_low) = halves(mask);
            vec![
                load_high,
                draft(AND, mask_high, On, On),
                draft(JUMP_EQUAL, high, On, Fails),
                load_low,
                draft(AND, mask_low, On, On),
                draft(JUMP_EQUAL, low, Holds, Fails),
            ]
        }
    }
}

fn load(offset: u32) -> Instruction {
    Instruction {
        code: LOAD,
        jump_true: 0,
        jump_false: 0,
        operand: offset,
    }
}

fn jump(code: u16, operand: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction {
        code,
        jump_true,
        jump_false,
        operand,
    }
}

fn answer(verdict: Verdict) -> Instruction {
    Instruction {
        code: RETURN,
        jump_true: 0,
        jump_false: 0,
        operand: verdict.0,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const ALLOW: Verdict = Verdict(0x7fff_0000);
    const DENY: Verdict = Verdict(0x0005_0001);

    /// Runs a program as the kernel would.
    pub(in super::super) fn run(
        program: &[Instruction],
        architecture: u32,
        number: u32,
        arguments: [u64; 6],
    ) -> u32 {
        let mut accumulator = 0_u32;
        let mut at = 0;
        loop {
            let Instruction {
                code,
                jump_true,
                jump_false,
                operand,
            } = program[at];
            at += 1;
            let taken = match code {
                LOAD => {
                    accumulator = match operand {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        offset => {
                            let argument = arguments[((offset - ARGUMENTS) / 8) as usize];
                            u32::try_from(
                                (argument >> (8 * ((offset - ARGUMENTS) % 8))) & 0xffff_ffff,
                            )
                            .unwrap()
                        }
                    };
                    continue;
                }
                AND => {
                    accumulator &= operand;
                    continue;
                }
                JUMP => {
                    at += operand as usize;
                    continue;
                }
                RETURN => return operand,
                JUMP_EQUAL => accumulator == operand,
                JUMP_GREATER => accumulator > operand,
                JUMP_GREATER_OR_EQUAL => accumulator >= operand,
                other => panic!("unknown instruction {other:#x}"),
            };
            at += usize::from(if taken { jump_true } else { jump_false });
        }
    }

    pub(in super::super) const OWN: u32 = OWN_ARCHITECTURE;

    fn holds(operator: Operator, value: u64, argument: u64) -> bool {
        let rule = Rule {
            conditions: vec![Condition {
                index: 2,
                operator,
                value,
            }],
            verdict: ALLOW,
        };
        let program = program(&[(7, vec![rule])].into(), DENY, 400).unwrap();
        run(&program, OWN, 7, [0, 0, argument, 0, 0, 0]) == ALLOW.0
    }

    #[test]
    fn comparisons_see_all_64_bits() {
        let numbers = [
            0,
            1,
            5,
            0xffff_ffff,
            1 << 32,
            (1 << 32) + 5,
            5 << 32,
            u64::MAX,
        ];
        for value in numbers {
            for argument in numbers {
                let context = format!("{argument:#x} against {value:#x}");
                assert_eq!(
                    holds(Operator::Equal, value, argument),
                    argument == value,
                    "{context}"
                );
                assert_eq!(
                    holds(Operator::NotEqual, value, argument),
                    argument != value,
                    "{context}"
                );
                assert_eq!(
                    holds(Operator::Less, value, argument),
                    argument < value,
                    "{context}"
                );
                assert_eq!(
                    holds(Operator::LessOrEqual, value, argument),
                    argument <= value,
                    "{context}"
                );
                assert_eq!(
                    holds(Operator::Greater, value, argument),
                    argument > value,
                    "{context}"
                );
                assert_eq!(
                    holds(Operator::GreaterOrEqual, value, argument),
                    argument >= value,
                    "{context}"
                );
                let mask = 0x1_0000_00ff;
                assert_eq!(
                    holds(Operator::MaskedEqual { mask }, value, argument),
                    argument & mask == value,
                    "{context}"
                );
            }
        }
    }

    #[test]
    fn the_search_finds_every_number() {
        let allow = || {
            vec![Rule {
                conditions: Vec::new(),
                verdict: ALLOW,
            }]
        };
        let rules: BTreeMap<u32, Vec<Rule>> = (0..450)
            .filter(|number| number % 3 != 0 && number % 7 != 0)
            .map(|number| (number, allow()))
            .collect();
        let program = program(&rules, DENY, 449).unwrap();
        for number in 0..450 {
            let expected = if rules.contains_key(&number) {
                ALLOW
            } else {
                DENY
            };
            assert_eq!(run(&program, OWN, number, [0; 6]), expected.0, "{number}");
        }
        assert_eq!(run(&program, OWN, 450, [0; 6]), NO_SUCH_CALL.0);
        assert_eq!(run(&program, OWN, u32::MAX, [0; 6]), NO_SUCH_CALL.0);
        assert_eq!(run(&program, 0x4000_0003, 1, [0; 6]), NO_SUCH_CALL.0);
    }

    #[test]
    fn several_rules_of_one_call_are_alternatives() {
        let rule = |value| Rule {
            conditions: vec![Condition {
                index: 0,
                operator: Operator::Equal,
                value,
            }],
            verdict: ALLOW,
        };
        let program = program(&[(9, vec![rule(1), rule(3)])].into(), DENY, 400).unwrap();
        let answers: Vec<bool> = (0..5)
            .map(|argument| run(&program, OWN, 9, [argument, 0, 0, 0, 0, 0]) == ALLOW.0)
            .collect();
        assert_eq!(answers, [false, true, false, true, false]);
    }
}
