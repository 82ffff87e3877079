/** Whether this host's clock is wrong, judged by the `Date` of an answer: a frequent reason for refused tokens and certificates. */
import type { AnswerHeaders } from "./connections";

/** Entra allows five minutes; less than one says nothing. */
const noteworthyMs = 60_000;

/** For example "; this host's clock is 12 minutes behind the service's", or "" when the two agree. */
export function clockNote(headers: AnswerHeaders | undefined, now = Date.now()): string {
  const serviceNow = Date.parse(headers?.get("date") ?? "");
  if (Number.isNaN(serviceNow) || Math.abs(serviceNow - now) < noteworthyMs) return "";
  const minutes = Math.round(Math.abs(serviceNow - now) / 60_000);
  return `; this host's clock is ${minutes} ${minutes === 1 ? "minute" : "minutes"} ${
    now < serviceNow ? "behind" : "ahead of"
  } the service's`;
}
