/**
 * The part of RxJS that this package uses. The build puts it into this one file (`packaging/rxjs.mjs`): RxJS itself loads 200
 * modules, which is most of the time and memory that the service needs to start.
 */
export {
  BehaviorSubject,
  combineLatest,
  /** For tests, which observe what RxJS reports about subscribers. */
  config,
  distinctUntilChanged,
  ignoreElements,
  interval,
  map,
  merge,
  Observable,
  type OperatorFunction,
  retry,
  share,
  skip,
  startWith,
  Subject,
  type Subscription,
  switchMap,
  take,
  tap,
  timer,
} from 'rxjs';
