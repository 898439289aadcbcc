(* Reads tables for the tests: the commands of reader.c but `storm`; the argument is socket:PATH. *)
module Table = Xen_domid_table

let contains_at text part from =
  String.length text - from >= String.length part
  && String.sub text from (String.length part) = part

let find_part text part =
  let rec go from =
    if from > String.length text - String.length part then None
    else if contains_at text part from then Some from
    else go (from + 1)
  in
  go 0

let () =
  let path = String.sub Sys.argv.(1) 7 (String.length Sys.argv.(1) - 7) in
  let input, output = Unix.open_connection (Unix.ADDR_UNIX path) in
  let confirm domid =
    Printf.fprintf output
      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"get\",\"params\":{\"domid\":%d}}\n%!" domid ;
    let line = input_line input in
    match (find_part line "\"dying\":false", find_part line "\"uuid\":\"") with
    | Some _, Some at -> Table.handle_of_text (String.sub line (at + 8) 36)
    | _ -> None
  in
  let table = ref None in
  let said = function Some domid -> Printf.sprintf "found %d" domid | None -> "ask" in
  let answer word rest =
    match (word, !table) with
    | "open", _ -> (
      match Table.map ~path:rest () with
      | mapped -> table := Some mapped ; "open"
      | exception (Table.Not_a_table _ | Unix.Unix_error _) -> table := None ; "refused"
    )
    | "retired", Some table -> if Table.retired table then "yes" else "no"
    | "retired", None -> "no"
    | "lookup", Some table -> (
      try said (Table.lookup table ~confirm rest) with Invalid_argument _ -> "invalid"
    )
    | "hint", Some table -> (
      match Table.handle_of_text rest with
      | Some handle -> said (Table.hint table handle)
      | None -> "invalid"
    )
    | _, None -> if Table.handle_of_text rest = None then "invalid" else "ask"
    | _ -> "?"
  in
  try
    while true do
      let line = input_line stdin in
      let at = try String.index line ' ' with Not_found -> String.length line in
      let rest = if at = String.length line then "" else String.sub line (at + 1) (String.length line - at - 1) in
      print_endline (answer (String.sub line 0 at) rest)
    done
  with End_of_file -> ()
