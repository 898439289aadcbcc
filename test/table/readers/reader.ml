(* Reads tables for the tests: the commands of reader.c but `storm`, `service` and `own`. *)
module Table = Xen_domid_table

let run confirm =
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
