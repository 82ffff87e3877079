/** Port: the plugin's log. Plaintext, ciphertext and tokens never go in; what a call was about goes in by its uid. */
import type * as pinoModule from "pino";
import type { LogConfig, LogLevel } from "./config/operation-config";

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Log {
  /** Whether lines of this level are written: callers on the hot path ask before they build fields. */
  enabled(level: LogLevel): boolean;
  write(level: LogLevel, message: string, fields?: LogFields): void;
  /** A line that the configured level does not silence: start, stop, a change of the key's health. */
  always(level: LogLevel, message: string, fields?: LogFields): void;
}

/** Where lines go, one `write` a line. */
export interface LogStream {
  write(line: string): unknown;
}

const order: readonly LogLevel[] = ["error", "warn", "info", "debug", "trace"];

export function createLog(config: LogConfig, stream: LogStream): Log {
  const print = config.format === "json" ? jsonLines(stream) : textLines(stream);
  const limit = order.indexOf(config.level);
  const enabled = (level: LogLevel) => order.indexOf(level) <= limit;
  return {
    enabled,
    write: (level, message, fields = {}) => {
      if (enabled(level)) print(level, message, fields);
    },
    always: (level, message, fields = {}) => print(level, message, fields),
  };
}

type Print = (level: LogLevel, message: string, fields: LogFields) => void;

/** The keys that aws-encryption-provider's lines have: timestamp, level, message. */
function jsonLines(stream: LogStream): Print {
  // Loaded here because the text form is the default of two providers and does not need it (17 ms at start).
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- a static import would load it always
  const { pino } = require("pino") as typeof pinoModule;
  const logger = pino(
    {
      level: "trace",
      base: null,
      messageKey: "message",
      timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
      formatters: { level: (level) => ({ level }) },
    },
    { write: (line: string) => void stream.write(line) },
  );
  return (level, message, fields) => logger[level](fields, message);
}

/** klog's form: `I0219 17:35:33.608840       1 kms-etcd-plugin] "message" name="value"`. */
function textLines(stream: LogStream): Print {
  const letters: Readonly<Record<LogLevel, string>> = { error: "E", warn: "W", info: "I", debug: "I", trace: "I" };
  return (level, message, fields) => {
    const time = new Date().toISOString();
    const stamp = `${time.slice(5, 7)}${time.slice(8, 10)} ${time.slice(11, 23)}000`;
    const values = Object.entries(fields).map(([name, value]) =>
      value === undefined ? "" : ` ${name}=${typeof value === "string" ? JSON.stringify(value) : value}`,
    );
    stream.write(
      `${letters[level]}${stamp} ${String(process.pid).padStart(7)} kms-etcd-plugin] ${JSON.stringify(message)}${values.join("")}\n`,
    );
  };
}
