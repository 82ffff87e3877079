/** Something that keeps connections to API servers, made anew whenever there are others: on kOps every roll makes new machines. */
import type { ApiServerAddress } from "../kubernetes/api-client";

export interface Following<Kept> {
  /** What was made for the API servers that there are now. */
  present(): Kept;
  close(): Promise<void>;
}

export function following<Kept extends { close(): Promise<void> }>(
  addresses: () => readonly ApiServerAddress[],
  make: (servers: readonly ApiServerAddress[]) => Kept,
): Following<Kept> {
  let made: { readonly of: string; readonly kept: Kept } | undefined;
  return {
    present() {
      const servers = addresses();
      const of = servers.map(({ name, url }) => `${name} ${url}`).join();
      if (made?.of === of) return made.kept;
      void made?.kept.close();
      made = { of, kept: make(servers) };
      return made.kept;
    },
    close: async () => made?.kept.close(),
  };
}
