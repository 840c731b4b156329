// What a kernel and its page say to each other. Written by `python -m tests.unit.message_types`.

/** All there is to show. */
export type Picture<Values, Tables> = {
  values: Values;
  tables: Tables;
};

/** What is new in a picture. An item is always whole; null stands for one that is gone. */
export type Delta<Values, Tables> = {
  values?: Values;
  tables?: Tables;
};

/**
 * The picture of the moment in which a widget is displayed.
 *
 * `at` is its position in the changes of the timeline, `now` the kernel's clock.
 */
export type Snapshot<Values, Tables> = {
  values: Values;
  tables: Tables;
  at: number;
  now: number;
};

/** Nothing more to say. */
export type Nothing = Record<string, never>;

/** Which pod, by its name. */
export type OfPod = {
  pod: string;
};

/** What has changed between two positions; `whole` if it is all there is, so that anything else is gone. */
export type Update<Data> = {
  from: number;
  type: "delta";
  to: number;
  now: number;
  data: Data;
  whole?: true;
};

/** The kernel has heard a view. */
export type Here = {
  type: "here";
};

/** What an action has given. */
export type Answer = {
  type: "answer";
  id: string;
  value: unknown;
};

/** Why an action was not done, in words. */
export type Refusal = {
  type: "answer";
  id: string;
  error: string;
};

/** A view is there, and its picture is at this position. */
export type Have = {
  type: "have";
  view: string;
  at: number;
};

/** A view is gone. */
export type Closed = {
  type: "closed";
  view: string;
};

/** Do something, and answer under this id. */
export type Act = {
  type: "act";
  view: string;
  id: string;
  name: string;
  data: Record<string, unknown>;
};

/** What is in a page of its own: the picture, and the details of every entry by its id. */
export type Recorded = {
  picture: Picture<LensValues, LensTables>;
  details: Record<string, Details>;
};

/** The invocation, when the recording began (Unix seconds), its latest moment; whether there is a kernel to act. */
export type LensValues = {
  root: string;
  origin: number;
  until: number;
  open?: boolean;
};

/**
 * Invocations by id; attempts as "invocation#number"; entries as "invocation/row"; pods by name; effects.
 *
 * A row is "e" and the entry's index, or "s" and the signal's number or name.
 */
export type LensTables = {
  traces: Record<string, TraceItem>;
  attempts: Record<string, AttemptItem>;
  entries: Record<string, EntryItem>;
  pods: Record<string, LensPod>;
  effects: Record<string, EffectItem>;
};

/** An invocation. `parent` is its caller's id, `status_at` when its status was heard of. */
export type TraceItem = {
  target: string;
  status: string;
  parent?: string;
  sent?: number;
  failure?: Failure;
  last_failure?: string;
  aborted?: "killed" | "cancelled";
  status_at?: number;
};

export type Failure = [number, string];

/** An attempt, on a pod. `known` counts the journal entries it was given, `waits` are rows it was suspended on. */
export type AttemptItem = {
  pod: string;
  at: number;
  outcome: Outcome;
  known: number;
  end?: number;
  failure?: Failure;
  waits?: string[];
};

export type Outcome = "running" | "completed" | "suspended" | "failed" | "killed" | "crashed" | "stopped" | "disconnected";

/**
 * A journal entry: previews of the values that went in and came out, with their sizes in bytes.
 *
 * `n` is its place among the rows: a saved notebook has its items in the order of their names. `until` is the end of a
 * sleep or of a delay. `marks` are by the attempt's number.
 */
export type EntryItem = {
  in?: string;
  n: number;
  type: string;
  label?: string;
  size?: number;
  out?: string;
  out_size?: number;
  failure?: Failure;
  callee?: string;
  until?: number;
  marks: Record<string, Mark>;
};

export type Mark = [How, number, (number | null)?, (number | null)?];

export type How = "executed" | "replayed" | "cut off" | "failed" | "delivered" | "awaited";

/** A pod. `n` is its ordinal, 0 if it never had an attempt. */
export type LensPod = {
  label: string;
  n: number;
  service: string;
  revision: string;
  phase: string;
  at: number;
  ready?: number;
  gone?: number;
};

/**
 * A request that reached the outside world: `trace`, `attempt` and `row` are where it came from, if that is known.
 *
 * `repeated`: its key was known, so nothing happened again. `outside`: no step caused it.
 */
export type EffectItem = {
  n: number;
  kind: string;
  at: number;
  trace: string;
  key?: string;
  repeated?: true;
  refused?: true;
  body?: string;
  pod?: string;
  attempt?: number;
  row?: string;
  outside?: true;
};

/** All that is known of an entry. */
export type Details = {
  in?: Value;
  frames: Frame[];
  out?: Value;
  awakeable?: string;
  source?: Source;
  mismatch?: string;
};

/** A value as the recording has it; `size` of all of it in bytes, `cut` if that is more than is here. */
export type Value = {
  text: string;
  size: number;
  cut: boolean;
};

/** One frame of the service protocol, so many seconds after the invocation came; its name has its direction. */
export type Frame = {
  at: number;
  attempt: number;
  name: string;
  says: string;
  size?: number;
};

/** The line of a file that asked for an entry, among those around it; `first` is the number of the first of them. */
export type Source = {
  revision: string;
  file: string;
  line: number;
  first: number;
  lines: string[];
};

/** The same tables, as far as something in them is new. */
export type LensChanged = {
  traces?: Record<string, TraceItem | null>;
  attempts?: Record<string, AttemptItem | null>;
  entries?: Record<string, EntryItem | null>;
  pods?: Record<string, LensPod | null>;
  effects?: Record<string, EffectItem | null>;
};

/** Which entry, by the model's id. */
export type OfEntry = {
  entry: string;
};

/** Which of an entry's values. */
export type OfValue = {
  entry: string;
  side: "in" | "out";
};

/** A whole value, or as much of it as a page is sent; `size` of all of it in bytes. */
export type WholeValue = {
  text: string;
  size: number;
};

/** The lens in a page. */
export type LensView = {
  values: LensValues;
  tables: LensTables;
  changed: LensChanged;
  actions: {
    "kill pod": { asked: OfPod; answer: string };
    "entry": { asked: OfEntry; answer: Details };
    "value": { asked: OfValue; answer: WholeValue };
  };
};

/**
 * Of all runs.
 *
 * `verdicts` each with whether it holds; `notes`: what they rest on, a line each; `columns` each with what is usual
 * in it. The first column is the place.
 */
export type AtlasValues = {
  title: string;
  summary: string;
  verdicts: [string, boolean][];
  notes: string[];
  columns: [string, string][];
};

/** Runs by their position. */
export type AtlasTables = {
  rows: Record<string, RunRow>;
};

/**
 * One run.
 *
 * `group` is the invocation it crashed in, `level` how deep that was called; `places` has one per accident, `cells`
 * one per column after the first. `reasons` are all that is otherwise than in a clean run: what, and a text.
 */
export type RunRow = {
  group: string;
  level: number;
  places: string[];
  cells: Cell[];
  reasons: [string, string][];
  deviates: boolean;
};

export type Cell = [Sign, Tone, string];

export type Sign = "right" | "wrong" | "failed" | "stuck" | "unknown" | "differs" | "never" | "once" | "twice" | "often";

export type Tone = "good" | "bad" | "stuck" | "quiet";

/** Which run, by its row. */
export type OfRun = {
  row: string;
};

/** A run's replay, and the ids of the calls that are shown open. */
export type Replay = {
  picture: Picture<LensValues, LensTables>;
  expanded: string[];
};

/** An atlas in a page. */
export type AtlasView = {
  values: AtlasValues;
  tables: AtlasTables;
  changed: AtlasTables;
  actions: {
    "entry": { asked: OfEntry; answer: Details };
    "run": { asked: OfRun; answer: Replay };
  };
};

/** An awakeable that nobody has completed yet; `number` counts those of its invocation, from 1. */
export type AwakeableItem = {
  invocation: string;
  target: Clipped;
  number: number;
  suspended: boolean;
  mail: Mail | null;
};

/** Text from outside: what is shown at first, and how long the whole is if that is not all. */
export type Clipped = {
  text: string;
  length?: number;
};

/** The effect that an awakeable's id was in; `at` in Unix seconds. */
export type Mail = {
  kind: string;
  at: number;
  body: Clipped;
};

/** An invocation. `n` counts them in the order in which they were heard of; `pod` is the one that runs it now. */
export type InvocationItem = {
  n: number;
  target: Clipped;
  status: string;
  failed: boolean;
  attempts: number;
  pod: string;
  body: Clipped | null;
  value: Clipped | null;
  failure: Clipped | null;
  parent: Clipped | null;
  verbs: Verb[];
};

export type Verb = "cancel" | "kill" | "pause" | "resume" | "restart-as-new";

/** A kind of effects: what has become of its requests, and how it misbehaves, also in words. */
export type KindItem = {
  kind: string;
  counts: Partial<Record<Became, number>>;
  faults: Faults;
  told: string[];
};

export type Became = "happened" | "repeated" | "refused";

/** How a kind misbehaves: counts of requests, -1 for all; seconds; whether nobody answers. */
export type Faults = {
  fail?: number;
  lose_answer?: number;
  slow?: number;
  down?: boolean;
};

/** A request that reached the outside world: `at` in Unix seconds, `what` became of it; unknown texts are empty. */
export type LedgerEntry = {
  number: number;
  kind: string;
  at: number;
  what: Became;
  pod: string;
  invocation: string;
  target: string;
  step: string;
  key: string;
  body: Clipped;
};

/**
 * A pod.
 *
 * `open` are the first of the targets that run on it, `openCount` how many there are; `log` the end of what it
 * printed, `logCount` how many lines that is in all, `logCut` whether any line here is not whole. Unix seconds.
 */
export type PodItem = {
  label: string;
  service: string;
  revision: string;
  phase: string;
  alive: boolean;
  startedAt: number;
  readyAt: number | null;
  goneAt: number | null;
  open: string[];
  openCount: number;
  log: string[];
  logCount: number;
  logCut: boolean;
};

/** The keys of a service that were called, those touched last first. */
export type KeysItem = {
  keys: string[];
};

/** What is stored for a key, by name. */
export type StateItem = {
  service: string;
  key: string;
  values: Record<string, Clipped>;
};

/** A key's queue; `waiting` are the first of those that wait, `done` is how many have had the lock. */
export type QueueItem = {
  service: string;
  key: string;
  holder: Queued | null;
  waiting: Queued[];
  waitingCount: number;
  done: number;
};

/** An invocation that holds a lock or waits for it. */
export type Queued = {
  id: string;
  handler: string;
  status: string;
};

/**
 * A handler that can be called.
 *
 * `kind` is its service's, `input` the type of its body, `schema` that type's JSON schema as text, for its own texts
 * are a learner's and may hold anything; `last` the latest body that was sent to it.
 */
export type HandlerItem = {
  service: string;
  handler: string;
  kind: string;
  shared: boolean;
  input: string;
  schema: string | null;
  last: string | null;
};

/** Whether there is anything that acts. */
export type BoardValues = {
  live: boolean;
};

/** Which key of which virtual object or workflow. */
export type OfKey = {
  service: string;
  key: string;
};

/** With which value, as JSON; none if it is empty. */
export type Resolve = {
  awakeable: string;
  value?: string;
};

/** What was done, in words, and the invocations that came of it. */
export type Said = {
  said: string;
  invocations?: string[];
};

/** For which reason. */
export type Reject = {
  awakeable: string;
  reason?: string;
};

/** Which awakeable, by its id. */
export type OfAwakeable = {
  awakeable: string;
};

/** The whole of something that items hold only clipped. */
export type Whole = {
  text: string;
};

/** Which invocation, by its id. */
export type OfInvocation = {
  invocation: string;
};

/** Which of its texts. */
export type OfPart = {
  invocation: string;
  part: "target" | "parent" | "body" | "value" | "failure";
};

/** Which kind. */
export type OfKind = {
  kind: string;
};

/** How, as it was typed: counts of requests or "all"; seconds; whether nobody answers. */
export type Misbehave = {
  kind: string;
  fail?: string;
  lose_answer?: string;
  slow?: string;
  down?: boolean;
};

/** Which entry, by its item's id. */
export type OfLedgerEntry = {
  entry: string;
};

/** New values by name, as JSON, none for one that is to go; and what was seen in their place, none for nothing. */
export type Edit = {
  service: string;
  key: string;
  changes: Record<string, string | null>;
  seen: Record<string, string | null>;
};

/** Which of its values. */
export type OfName = {
  service: string;
  key: string;
  name: string;
};

/**
 * A request, as it was typed: `body` is JSON, none if there is none; `delay` is in seconds.
 *
 * With `times` 10 it is sent so often, with `spread` to as many keys.
 */
export type Send = {
  service: string;
  handler: string;
  key: string | null;
  body: string | null;
  idempotencyKey?: string;
  delay?: string;
  times?: number;
  spread?: boolean;
};

/** A board: the items of its panels. */
export type BoardView = {
  values: BoardValues;
  tables: {
    awakeables?: Record<string, AwakeableItem>;
    invocations?: Record<string, InvocationItem>;
    ledger?: Record<string, KindItem | LedgerEntry>;
    pods?: Record<string, PodItem>;
    state?: Record<string, KeysItem | StateItem>;
    queue?: Record<string, QueueItem>;
    requests?: Record<string, HandlerItem>;
  };
  changed: {
    awakeables?: Record<string, AwakeableItem | null>;
    invocations?: Record<string, InvocationItem | null>;
    ledger?: Record<string, KindItem | LedgerEntry | null>;
    pods?: Record<string, PodItem | null>;
    state?: Record<string, KeysItem | StateItem | null>;
    queue?: Record<string, QueueItem | null>;
    requests?: Record<string, HandlerItem | null>;
  };
  actions: {
    "watch": { asked: OfKey; answer: Nothing };
    "awakeables.resolve": { asked: Resolve; answer: Said };
    "awakeables.reject": { asked: Reject; answer: Said };
    "awakeables.whole": { asked: OfAwakeable; answer: Whole };
    "invocations.cancel": { asked: OfInvocation; answer: Said };
    "invocations.kill": { asked: OfInvocation; answer: Said };
    "invocations.pause": { asked: OfInvocation; answer: Said };
    "invocations.resume": { asked: OfInvocation; answer: Said };
    "invocations.restart-as-new": { asked: OfInvocation; answer: Said };
    "invocations.whole": { asked: OfPart; answer: Whole };
    "ledger.clear": { asked: Nothing; answer: Said };
    "ledger.behave": { asked: OfKind; answer: Said };
    "ledger.misbehave": { asked: Misbehave; answer: Said };
    "ledger.whole": { asked: OfLedgerEntry; answer: Whole };
    "pods.kill": { asked: OfPod; answer: Said };
    "pods.whole": { asked: OfPod; answer: Whole };
    "state.edit": { asked: Edit; answer: Said };
    "state.whole": { asked: OfName; answer: Whole };
    "requests.send": { asked: Send; answer: Said };
  };
};
