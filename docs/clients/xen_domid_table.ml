(* Finds the domid of a VM by its UUID in the table that `xen-domid serve` keeps, and confirms it by one hypercall.
   The format is described in docs/table.md. Needs only unix. With xenctrl:

     let confirm xc domid =
       match Xenctrl.domain_getinfo xc domid with
       | {Xenctrl.domid= shown; dying= false; handle; _} when shown = domid ->
           Some (Xen_domid_table.handle_of_array handle)
       | _ | exception Xenctrl.Error _ -> None

     let table = Xen_domid_table.map ()
     let domid = Xen_domid_table.lookup table ~confirm:(confirm xc) uuid

   None says that the table has no answer, NOT that there is no such VM: ask the service (domid.ml), or go on as without
   the table, for example by Xenctrl.domain_getinfolist. *)

type bytes_in_file =
  (char, Bigarray.int8_unsigned_elt, Bigarray.c_layout) Bigarray.Array1.t

type t = {
    bytes: bytes_in_file
  ; header: int
  ; buckets: int
  ; bucket_bytes: int
  ; slots: int
}

exception Not_a_table of string

let default_path = "/run/xen-domid/domids"

(* Bigarray checks the bounds, also of a file that is damaged. *)
let u8 (bytes : bytes_in_file) at = Char.code bytes.{at}

let u16 bytes at = u8 bytes at lor (u8 bytes (at + 1) lsl 8)

let u32 bytes at = u16 bytes at lor (u16 bytes (at + 2) lsl 16)

(** Maps a table.
    @raise Not_a_table for a file that is none of format 1.
    @raise Unix.Unix_error *)
let map ?(path = default_path) () =
  let fd = Unix.openfile path Unix.[O_RDONLY; O_CLOEXEC; O_NONBLOCK] 0 in
  let bytes =
    Fun.protect
      ~finally:(fun () -> Unix.close fd)
      (fun () ->
        let stat = Unix.fstat fd in
        (* Another user could shorten the file, and reading it would raise SIGBUS. *)
        if
          stat.Unix.st_kind <> Unix.S_REG
          || (stat.Unix.st_uid <> 0 && stat.Unix.st_uid <> Unix.geteuid ())
          || stat.Unix.st_size < 4096
          || stat.Unix.st_size > 256 * 1024 * 1024
        then raise (Not_a_table path) ;
        (* Not shared: that would need the permission to write. Linux shows later writes of others all the same, because
           nothing is written to this mapping. *)
        Unix.map_file fd Bigarray.char Bigarray.c_layout false [|stat.Unix.st_size|]
        |> Bigarray.array1_of_genarray
      )
  in
  let magic = String.init 8 (fun at -> bytes.{at}) in
  let header = u32 bytes 12
  and buckets = u32 bytes 16
  and bucket_bytes = u32 bytes 20
  and slots = u32 bytes 24 in
  if
    magic = "XENDOMID"
    && u32 bytes 8 = 1
    && header >= 72
    && header mod 64 = 0
    && buckets > 0
    && buckets <= 1 lsl 24
    && buckets land (buckets - 1) = 0
    && bucket_bytes mod 64 = 0
    && bucket_bytes <= 4096
    && slots > 0
    && slots <= 64
    && (slots * 18) + 2 <= bucket_bytes
    && header + (buckets * bucket_bytes) <= Bigarray.Array1.dim bytes
  then {bytes; header; buckets; bucket_bytes; slots}
  else raise (Not_a_table path)

(** Whether another file is at the path now, for a change of format: map it again. *)
let retired table = u32 table.bytes 28 = 3

let handle_of_array handle =
  String.init 16 (fun at -> Char.chr (handle.(at) land 0xff))

(** The 16 bytes of a UUID in text; None for any other text, and for a UUID that names no VM. *)
let handle_of_text text =
  let digits = String.concat "" (String.split_on_char '-' text) in
  let dashed =
    String.length text = 36
    && List.for_all (fun at -> text.[at] = '-') [8; 13; 18; 23]
  in
  let is_hex = function
    | '0' .. '9' | 'a' .. 'f' | 'A' .. 'F' -> true
    | _ -> false
  in
  if not (dashed && String.length digits = 32) then None
  else if not (List.for_all is_hex (List.init 32 (String.get digits))) then None
  else
    let byte at = int_of_string ("0x" ^ String.sub digits (2 * at) 2) in
    let handle = String.init 16 (fun at -> Char.chr (byte at)) in
    let tombstone = "\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef\x00\x00" in
    if handle = String.make 16 '\000' || String.sub handle 0 14 = tombstone then
      None
    else Some handle

(* An int has 63 bits: products lose their top bits, never one of the 32 that count. *)
let hash handle =
  let mask = 0xffffffff in
  let word at =
    let byte index = Char.code handle.[at + index] in
    byte 0 lor (byte 1 lsl 8) lor (byte 2 lsl 16) lor (byte 3 lsl 24)
  in
  let stir hash at =
    let hash = (hash lxor word at) * 0x9e3779b1 land mask in
    hash lxor (hash lsr 15)
  in
  let hash = List.fold_left stir 0 [0; 4; 8; 12] in
  let hash = (hash lxor (hash lsr 16)) * 0x85ebca6b land mask in
  let hash = (hash lxor (hash lsr 13)) * 0xc2b2ae35 land mask in
  hash lxor (hash lsr 16)

(** Where to look for a handle, without a confirmation. It may be old or half written: this is no answer. *)
let hint table handle =
  let {bytes; header; buckets; bucket_bytes; slots} = table in
  let bucket = header + (hash handle land (buckets - 1)) * bucket_bytes in
  let rec same slot at =
    at = 16
    || bytes.{bucket + (slot * 16) + at} = handle.[at]
       && same slot (at + 1)
  in
  let rec find slot =
    if slot = slots then None
    else if same slot 0 then
      let hint = u16 bytes (bucket + (slots * 16) + (slot * 2)) in
      let domid = hint land 0x7fff in
      if hint land 0x8000 <> 0 && domid < 0x7ff0 then Some domid else None
    else find (slot + 1)
  in
  find 0

(** The domid that had this UUID, and was not dying, at one moment of this call. None: ask in another way.
    [confirm domid] makes a hypercall that shows one domain, and returns its handle, 16 bytes, if the hypervisor shows a
    domain with exactly this domid that is not dying.
    @raise Invalid_argument for text that is no UUID of a VM. *)
let lookup table ~confirm uuid =
  match handle_of_text uuid with
  | None -> invalid_arg uuid
  | Some handle -> (
    match hint table handle with
    | Some domid when confirm domid = Some handle -> Some domid
    | _ -> None
  )
