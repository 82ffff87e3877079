/** Faults on order: what a network, a proxy, Entra or Key Vault does on a bad day. */
import type { WireAnswer } from "./wire";

/** Where a fault hits. `challenge` is a request to a vault without a token; the others are named for what they ask for. */
export type FaultPlace = "challenge" | "encrypt" | "decrypt" | "token" | "identity";

export type Fault =
  /** Answers at once. */
  | { readonly kind: "answer"; readonly answer: WireAnswer }
  /** TCP reset instead of an answer. */
  | { readonly kind: "reset" }
  /** No answer until the client goes away. */
  | { readonly kind: "hang" }
  /** Headers and the first half of the body, and then nothing. */
  | { readonly kind: "stall" }
  /** The right answer, late. */
  | { readonly kind: "slow"; readonly ms: number }
  /** The right answer, changed on its way. */
  | { readonly kind: "change"; readonly change: (answer: WireAnswer) => WireAnswer };

export interface Faults {
  /** The next `times` requests at `place` meet `fault`; orders are carried out in the order they were given. */
  order(place: FaultPlace, fault: Fault, times?: number): void;
  /** Forgets all orders. */
  clear(): void;
  /** For the fakes: the fault that this request meets. */
  next(place: FaultPlace | undefined): Fault | undefined;
}

export function createFaults(): Faults {
  const orders: { place: FaultPlace; fault: Fault; left: number }[] = [];
  return {
    order(place, fault, times = 1) {
      orders.push({ place, fault, left: times });
    },
    clear() {
      orders.length = 0;
    },
    next(place) {
      const order = orders.find((candidate) => candidate.place === place && candidate.left > 0);
      if (order !== undefined) order.left -= 1;
      return order?.fault;
    },
  };
}

/** What Key Vault answers when it has too much to do. */
export function throttledAnswer(headers: Readonly<Record<string, string>> = {}): Fault {
  return {
    kind: "answer",
    answer: vaultError(
      429,
      "Throttled",
      "Request was not processed because too many requests were received.",
      undefined,
      headers,
    ),
  };
}

/** An error as Key Vault words it. */
export function vaultError(
  status: number,
  code: string,
  message: string,
  innerCode?: string,
  headers: Readonly<Record<string, string>> = {},
): WireAnswer {
  return {
    status,
    headers: { "content-type": "application/json; charset=utf-8", ...headers },
    body: JSON.stringify({
      error: { code, message, ...(innerCode === undefined ? {} : { innererror: { code: innerCode } }) },
    }),
  };
}
