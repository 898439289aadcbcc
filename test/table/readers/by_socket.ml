(* The reader of tables, with a service to confirm: the argument is socket:PATH. *)
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
  Reader.run confirm
