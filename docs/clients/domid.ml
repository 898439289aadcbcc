(* Asks xen-domid from OCaml: 4.08 or newer, with its own library and Unix.

     ocaml -I +unix unix.cma domid.ml lookup UUID    its domid; exit status 1: no domain has it, 2: not a UUID, 3: several, 4: no answer
     ocaml -I +unix unix.cma domid.ml wait UUID [STATE [SECONDS]]    the same once it is present (default), running, shutdown or gone; 4: not in time (30 s)
     ocaml -I +unix unix.cma domid.ml list           domid and UUID of every domain, a line each
     ocaml -I +unix unix.cma domid.ml watch          every change, a line each: kind, domid, UUID; survives restarts of the service *)

(* A minimal JSON reader. If you have Rpclib or Yojson, use that. *)
module Json = struct
  type t =
    | Null
    | Bool of bool
    | Number of float
    | String of string
    | Array of t list
    | Object of (string * t) list

  exception Malformed

  let of_string text =
    let at = ref 0 in
    let peek () = if !at < String.length text then text.[!at] else raise Malformed in
    let next () = let c = peek () in incr at; c in
    let rec blank () =
      if !at < String.length text then
        match text.[!at] with ' ' | '\t' | '\r' | '\n' -> incr at; blank () | _ -> ()
    in
    let expect word = String.iter (fun c -> if next () <> c then raise Malformed) word in
    let hex () =
      let digits = try String.sub text !at 4 with Invalid_argument _ -> raise Malformed in
      at := !at + 4;
      match int_of_string_opt ("0x" ^ digits) with Some code -> code | None -> raise Malformed
    in
    let text_at () =
      let buffer = Buffer.create 40 in
      let add code =
        Buffer.add_utf_8_uchar buffer (if Uchar.is_valid code then Uchar.of_int code else Uchar.rep)
      in
      let escaped () =
        match next () with
        | 'n' -> add 10
        | 't' -> add 9
        | 'r' -> add 13
        | 'b' -> add 8
        | 'f' -> add 12
        | ('"' | '\\' | '/') as c -> Buffer.add_char buffer c
        | 'u' ->
            let high = hex () in
            if high < 0xd800 || high > 0xdbff then add high
            else begin
              expect "\\u";
              add (0x10000 + ((high - 0xd800) lsl 10) + (hex () - 0xdc00))
            end
        | _ -> raise Malformed
      in
      let rec go () =
        match next () with
        | '"' -> Buffer.contents buffer
        | '\\' -> escaped (); go ()
        | c -> Buffer.add_char buffer c; go ()
      in
      go ()
    in
    let number () =
      let from = !at in
      let rec go () =
        if !at < String.length text then
          match text.[!at] with '0' .. '9' | '-' | '+' | '.' | 'e' | 'E' -> incr at; go () | _ -> ()
      in
      go ();
      match float_of_string_opt (String.sub text from (!at - from)) with
      | Some value -> Number value
      | None -> raise Malformed
    in
    let rec value () =
      blank ();
      match peek () with
      | '{' -> incr at; Object (several '}' (fun () ->
          blank (); expect "\""; let name = text_at () in blank (); expect ":"; (name, value ())))
      | '[' -> incr at; Array (several ']' value)
      | '"' -> incr at; String (text_at ())
      | 't' -> expect "true"; Bool true
      | 'f' -> expect "false"; Bool false
      | 'n' -> expect "null"; Null
      | _ -> number ()
    and several : 'a. char -> (unit -> 'a) -> 'a list = fun closing one ->
      blank ();
      if peek () = closing then (incr at; [])
      else
        let rec go items =
          let items = one () :: items in
          blank ();
          match next () with
          | ',' -> go items
          | c when c = closing -> List.rev items
          | _ -> raise Malformed
        in
        go []
    in
    value ()

  let field name = function
    | Object fields -> ( match List.assoc_opt name fields with Some value -> value | None -> Null)
    | _ -> Null

  let string = function String text -> text | _ -> raise Malformed
  let int = function Number value -> int_of_float value | _ -> raise Malformed
  let list = function Array items -> items | _ -> raise Malformed
end

(* An invalid request: asking again does not help. *)
exception Refused of string

(* The service or the hypervisor did not answer in time. Says nothing about the UUID. *)
exception Unavailable of string

type connection = { input : in_channel; output : out_channel; socket : Unix.file_descr }

let timeout_s = 6.

let path =
  match Sys.getenv_opt "XEN_DOMID_SOCKET" with
  | None | Some "" -> "/run/xen-domid/xen-domid.sock"
  | Some path -> path

let connect () =
  let socket = Unix.socket ~cloexec:true Unix.PF_UNIX Unix.SOCK_STREAM 0 in
  try
    Unix.connect socket (Unix.ADDR_UNIX path);
    Unix.setsockopt_float socket Unix.SO_RCVTIMEO timeout_s;
    { input = Unix.in_channel_of_descr socket; output = Unix.out_channel_of_descr socket; socket }
  with error -> Unix.close socket; raise error

let disconnect { socket; _ } = try Unix.close socket with Unix.Unix_error _ -> ()

(* True for errors that a retry on a new connection may avoid. *)
let is_passing = function
  | Unix.Unix_error _ | End_of_file | Sys_error _ | Sys_blocked_io -> true
  | _ -> false

(* Sends one request. A connection has at most one pending request. [params] is JSON. *)
let call connection meth params =
  Printf.fprintf connection.output "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n%!" meth params;
  let reply = Json.of_string (input_line connection.input) in
  match Json.field "error" reply with
  | Json.Null -> Json.field "result" reply
  | error ->
      let message = Json.string (Json.field "message" error) in
      raise (if Json.int (Json.field "code" error) = -32602 then Refused message else Unavailable message)

(* Retries on a new connection until the timeout. This is safe: all methods only read.
   The service may take [wait] seconds longer to answer; [params] is made from those that are left. *)
let ask ?(wait = 0.) meth params =
  let until = Unix.gettimeofday () +. wait in
  let rec go () =
    match
      let left = Float.max 0. (until -. Unix.gettimeofday ()) in
      let connection = connect () in
      Fun.protect ~finally:(fun () -> disconnect connection) (fun () ->
          Unix.setsockopt_float connection.socket Unix.SO_RCVTIMEO (left +. timeout_s);
          call connection meth (params left))
    with
    | result -> result
    | exception Json.Malformed -> raise (Unavailable "the process on the socket is not xen-domid")
    | exception error when is_passing error ->
        if Unix.gettimeofday () > until +. timeout_s then
          raise (Unavailable (Printf.sprintf "no answer at %s: %s" path (Printexc.to_string error)));
        Unix.sleepf 0.2;
        go ()
  in
  go ()

type answer = Found of int | Absent | Ambiguous of int list

(* Rejects characters that could end the string in the JSON request. The service checks the rest. *)
let check_uuid text =
  String.iter
    (function '0' .. '9' | 'a' .. 'f' | 'A' .. 'F' | '-' -> () | _ -> raise (Refused "this is not a UUID"))
    text

let lookup uuid =
  check_uuid uuid;
  let result = ask "domid" (fun _ -> Printf.sprintf "{\"uuid\":\"%s\"}" uuid) in
  match Json.string (Json.field "status" result) with
  | "found" -> Found (Json.int (Json.field "domid" result))
  | "notFound" -> Absent
  | _ -> Ambiguous (List.map Json.int (Json.list (Json.field "domids" result)))

type state = Present | Running | Shutdown | Gone

let states = [ ("present", Present); ("running", Running); ("shutdown", Shutdown); ("gone", Gone) ]

(* Waits until the VM is in the state, for so many seconds. Returns whether it is, and its live domids.
   A restart of the service does not end the wait. *)
let wait_for uuid state seconds =
  check_uuid uuid;
  let name = fst (List.find (fun (_, one) -> one = state) states) in
  let result =
    ask ~wait:seconds "waitFor" (fun left ->
        Printf.sprintf "{\"uuid\":\"%s\",\"state\":\"%s\",\"timeoutMs\":%.0f}" uuid name (Float.max 1. (left *. 1000.)))
  in
  let domains =
    match Json.string (Json.field "status" result) with
    | "found" -> [ Json.field "domain" result ]
    | "ambiguous" -> Json.list (Json.field "domains" result)
    | _ -> []
  in
  (Json.field "reached" result = Json.Bool true, List.map (fun domain -> Json.int (Json.field "domid" domain)) domains)

let list () = Json.list (Json.field "domains" (ask "list" (fun _ -> "{}")))

(* Calls [on_snapshot] with all domains, then [on_change] with every change. A later snapshot replaces everything before.
   Continues from its last token after a restart of the service or a disconnect. Never returns. *)
let follow ~on_snapshot ~on_change =
  let token = ref None in
  let report said =
    (match Json.field "domains" said with Json.Null -> () | domains -> on_snapshot (Json.list domains));
    (match Json.field "changes" said with Json.Null -> () | changes -> List.iter on_change (Json.list changes));
    token := Some (Json.string (Json.field "token" said))
  in
  let rec report_all connection =
    report (Json.field "params" (Json.of_string (input_line connection.input)));
    report_all connection
  in
  let params () =
    match !token with None -> "{}" | Some token -> Printf.sprintf "{\"token\":\"%s\"}" token
  in
  let rec go () =
    (try
       let connection = connect () in
       Fun.protect ~finally:(fun () -> disconnect connection) (fun () ->
           report (call connection "subscribe" (params ()));
           Unix.setsockopt_float connection.socket Unix.SO_RCVTIMEO 0.;
           report_all connection)
     with Unavailable _ | Json.Malformed -> () | error when is_passing error -> ());
    Unix.sleepf 0.5;
    go ()
  in
  go ()

let print_change change =
  Printf.printf "%s %d %s\n%!"
    (Json.string (Json.field "kind" change))
    (Json.int (Json.field "domid" change))
    (Json.string (Json.field "uuid" change))

let main () =
  Sys.set_signal Sys.sigpipe Sys.Signal_ignore;
  match List.tl (Array.to_list Sys.argv) with
  | [ "lookup"; uuid ] -> (
      match lookup uuid with
      | Found domid -> Printf.printf "%d\n" domid; 0
      | Absent -> 1
      | Ambiguous domids -> List.iter (Printf.printf "%d\n") domids; 3)
  | "wait" :: uuid :: ([] | [ _ ] | [ _; _ ] as rest) -> (
      let name, seconds =
        match rest with [] -> ("present", "30") | [ name ] -> (name, "30") | name :: seconds :: _ -> (name, seconds)
      in
      match (List.assoc_opt name states, int_of_string_opt seconds) with
      | Some state, Some given ->
          let reached, domids = wait_for uuid state (float_of_int given) in
          if not reached then raise (Unavailable (Printf.sprintf "%s is not %s after %d s" uuid name given));
          List.iter (Printf.printf "%d\n") domids;
          if List.length domids > 1 then 3 else 0
      | _ -> prerr_endline "expected a state (present, running, shutdown or gone) and whole seconds"; 2)
  | [ "list" ] ->
      List.iter
        (fun domain ->
          Printf.printf "%d %s\n" (Json.int (Json.field "domid" domain)) (Json.string (Json.field "uuid" domain)))
        (list ());
      0
  | [ "watch" ] ->
      follow
        ~on_snapshot:(fun domains -> Printf.printf "snapshot %d\n%!" (List.length domains))
        ~on_change:print_change
  | _ -> prerr_endline "domid.ml lookup UUID | wait UUID [STATE [SECONDS]] | list | watch"; 2

let () =
  exit
    (try main () with
    | Refused message -> prerr_endline message; 2
    | Unavailable message -> prerr_endline message; 4)
