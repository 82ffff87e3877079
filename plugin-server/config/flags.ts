/**
 * Command-line flags as Go's `flag` and `pflag` packages read them, because manifests written for the two upstream plugins
 * must keep working: `-name`, `--name`, `--name=value`, `--name value`, switches without a value, the last one wins.
 * Nothing is thrown while reading: all problems are collected and shown together.
 */
import { parseDuration } from "../../core/duration";
import { describeError } from "../../core/errors";

export interface FlagSpec {
  /** A `switch` takes a value only in the form `--name=value`. */
  readonly kind: "value" | "switch";
  /** How --help names the value. */
  readonly placeholder?: string;
  readonly help: string;
  /** As --help shows it. */
  readonly default?: string;
}

export type FlagSpecs = Readonly<Record<string, FlagSpec>>;

/** The flags of one command line, and everything that is wrong with them. */
export interface Flags {
  readonly problems: string[];
  readonly warnings: string[];
  has(name: string): boolean;
  /** The last value, or undefined when the flag is not given. */
  text(name: string): string | undefined;
  /** Every value, in order. */
  all(name: string): readonly string[];
  /** A whole number in decimal or 0x form; a problem is noted and `fallback` returned for anything else. */
  whole(name: string, fallback: number, max: number): number;
  flag(name: string): boolean;
  milliseconds(name: string, fallback: number): number;
}

const trueWords = ["1", "t", "T", "TRUE", "true", "True"];
const falseWords = ["0", "f", "F", "FALSE", "false", "False"];

/** @param owners which other command knows a flag that this one does not, for the message. */
export function readFlags(
  args: readonly string[],
  specs: FlagSpecs,
  owners: (name: string) => string | undefined,
): Flags {
  const problems: string[] = [];
  const given = new Map<string, string[]>();
  for (let index = 0; index < args.length; index++) {
    const argument = args[index] ?? "";
    const match = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(argument);
    const name = match?.[1];
    if (name === undefined) {
      problems.push(`"${argument}" is not a flag; values follow their flag`);
      continue;
    }
    const spec = Object.hasOwn(specs, name) ? specs[name] : undefined;
    let value = match?.[2];
    if (spec === undefined) {
      const owner = owners(name);
      problems.push(
        owner === undefined ? `--${name} is not a flag that this program knows` : `--${name} is a flag of "${owner}"`,
      );
      // Its value, if there is one, is no second problem.
      if (value === undefined && args[index + 1]?.startsWith("-") === false) index++;
      continue;
    }
    if (value === undefined) {
      if (spec.kind === "switch") value = "true";
      else if (index + 1 < args.length) value = args[++index] ?? "";
      else {
        problems.push(`--${name} has no value`);
        continue;
      }
    }
    given.set(name, [...(given.get(name) ?? []), value]);
  }

  const text = (name: string) => given.get(name)?.at(-1);
  return {
    problems,
    warnings: [],
    has: (name) => given.has(name),
    text,
    all: (name) => given.get(name) ?? [],
    whole: (name, fallback, max) => {
      const value = text(name);
      if (value === undefined) return fallback;
      const number = /^(\d+|0[xX][0-9a-fA-F]+)$/.test(value) ? Number(value) : Number.NaN;
      if (number <= max) return number;
      problems.push(`--${name} is "${value}": give a whole number from 0 to ${max}`);
      return fallback;
    },
    flag: (name) => {
      const value = text(name);
      if (value === undefined || falseWords.includes(value)) return false;
      if (!trueWords.includes(value)) problems.push(`--${name} is "${value}": give true or false`);
      return true;
    },
    milliseconds: (name, fallback) => {
      const value = text(name);
      if (value === undefined) return fallback;
      try {
        const milliseconds = parseDuration(value, `--${name}`);
        if (milliseconds > 0) return milliseconds;
        problems.push(`--${name} is "${value}": give a duration above 0`);
      } catch (error) {
        problems.push(describeError(error));
      }
      return fallback;
    },
  };
}

/** One line of comma-separated values with Go's quoting: `"a,b",c` is two values. */
export function splitList(line: string): readonly string[] {
  if (line === "") return [];
  const fields = [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"(?=,|$)|([^,]*))/g)];
  return fields.map(([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? bare ?? "");
}
