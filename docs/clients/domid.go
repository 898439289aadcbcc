// Asks xen-domid from Go, with nothing but its standard library.
//
//	go run domid.go lookup UUID    its domid; exit status 1: no domain has it, 2: not a UUID, 3: several have it, 4: no answer
//	go run domid.go list           domid and UUID of every domain, a line each
//	go run domid.go watch          every change, a line each: kind, domid, UUID; survives restarts of the service
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

const (
	defaultSocket = "/run/xen-domid/xen-domid.sock"
	timeout       = 6 * time.Second
	invalidParams = -32602
)

type domain struct {
	Domid int    `json:"domid"`
	UUID  string `json:"uuid"`
}

type change struct {
	Kind  string `json:"kind"`
	Domid int    `json:"domid"`
	UUID  string `json:"uuid"`
}

// feed is the answer to subscribe, or one of the notifications after it.
type feed struct {
	Domains []domain `json:"domains"`
	Changes []change `json:"changes"`
	Token   string   `json:"token"`
}

type message struct {
	Result json.RawMessage `json:"result"`
	Params json.RawMessage `json:"params"`
	Error  *refusal        `json:"error"`
}

// refusal is an error answer of the service. With invalidParams the request is invalid: asking again does not help.
type refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (r *refusal) Error() string { return r.Message }

type connection struct {
	net.Conn
	messages *json.Decoder
}

func connect() (*connection, error) {
	path := os.Getenv("XEN_DOMID_SOCKET")
	if path == "" {
		path = defaultSocket
	}
	socket, err := net.DialTimeout("unix", path, timeout)
	if err != nil {
		return nil, err
	}
	return &connection{socket, json.NewDecoder(socket)}, nil
}

// call sends one request. A connection has at most one pending request.
func (c *connection) call(method string, params any, result any) error {
	c.SetDeadline(time.Now().Add(timeout))
	defer c.SetDeadline(time.Time{})
	request := map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
	if err := json.NewEncoder(c).Encode(request); err != nil {
		return err
	}
	var reply message
	if err := c.messages.Decode(&reply); err != nil {
		return err
	}
	if reply.Error != nil {
		return reply.Error
	}
	return json.Unmarshal(reply.Result, result)
}

// ask retries on a new connection until the timeout. This is safe: all methods only read.
func ask(method string, params any, result any) error {
	deadline := time.Now().Add(timeout)
	for {
		err := once(method, params, result)
		var refused *refusal
		if err == nil || errors.As(err, &refused) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func once(method string, params any, result any) error {
	c, err := connect()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.call(method, params, result)
}

// lookup returns the live domids that have this UUID: none, one or several.
func lookup(uuid string) ([]int, error) {
	var answer struct {
		Status string `json:"status"`
		Domid  int    `json:"domid"`
		Domids []int  `json:"domids"`
	}
	err := ask("domid", map[string]string{"uuid": uuid}, &answer)
	if answer.Status == "found" {
		return []int{answer.Domid}, err
	}
	return answer.Domids, err
}

// follow calls onFeed with all domains at first, then with every change. Domains in a later feed replace everything
// before. It continues from its last token after a restart of the service or a disconnect, and never returns.
func follow(onFeed func(feed)) {
	params := map[string]string{}
	for {
		followOnce(params, onFeed)
		time.Sleep(500 * time.Millisecond)
	}
}

func followOnce(params map[string]string, onFeed func(feed)) {
	c, err := connect()
	if err != nil {
		return
	}
	defer c.Close()
	var said feed
	for err = c.call("subscribe", params, &said); err == nil; {
		onFeed(said)
		params["token"] = said.Token
		var next message
		if err = c.messages.Decode(&next); err == nil {
			said = feed{}
			err = json.Unmarshal(next.Params, &said)
		}
	}
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "lookup" {
		domids, err := lookup(os.Args[2])
		exitOn(err)
		for _, domid := range domids {
			fmt.Println(domid)
		}
		switch len(domids) {
		case 0:
			os.Exit(1)
		case 1:
		default:
			os.Exit(3)
		}
		return
	}
	if len(os.Args) == 2 && os.Args[1] == "list" {
		var answer feed
		exitOn(ask("list", map[string]string{}, &answer))
		for _, d := range answer.Domains {
			fmt.Println(d.Domid, d.UUID)
		}
		return
	}
	if len(os.Args) == 2 && os.Args[1] == "watch" {
		follow(func(said feed) {
			if said.Domains != nil {
				fmt.Println("snapshot", len(said.Domains))
			}
			for _, c := range said.Changes {
				fmt.Println(c.Kind, c.Domid, c.UUID)
			}
		})
	}
	fmt.Fprintln(os.Stderr, "domid lookup UUID | list | watch")
	os.Exit(2)
}

func exitOn(err error) {
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, err)
	var refused *refusal
	if errors.As(err, &refused) && refused.Code == invalidParams {
		os.Exit(2)
	}
	os.Exit(4)
}
