package supervisor

import (
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// port is a TCP port of 127.0.0.1 that belongs to this supervisor until it ends,
// whether or not a part listens on it at the moment. Without that, a port that was
// free a moment ago, or that of a part that is stopped for now, may go to any
// outgoing connection on the machine.
//
// It is held by a socket that is bound but never listens. Linux lets a second
// socket bind to the same port if both have SO_REUSEADDR, which Go sets on every
// listener, and if none of them listens yet. Nobody is handed such a port by
// chance: a bind to port 0, like an outgoing connection, passes over it.
type port struct {
	number int
	socket int
}

// newPort reserves a free port.
func newPort() (*port, error) {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	p := &port{socket: socket}
	// SO_REUSEADDR comes after the bind: with it, the bind itself could be given
	// the port that another supervisor holds.
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		p.release()
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	if err := syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		p.release()
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		p.release()
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	p.number = name.(*syscall.SockaddrInet4).Port
	return p, nil
}

// address is the port as HOST:PORT.
func (p *port) address() string {
	return net.JoinHostPort(loopback, strconv.Itoa(p.number))
}

func (p *port) release() {
	_ = syscall.Close(p.socket)
}

// ports are all the ports of one cluster.
type ports struct {
	etcd, etcdPeer, apiserver, controllerManager, scheduler, kwok *port
}

func newPorts() (*ports, error) {
	p := &ports{}
	for _, slot := range []**port{&p.etcd, &p.etcdPeer, &p.apiserver, &p.controllerManager, &p.scheduler, &p.kwok} {
		reserved, err := newPort()
		if err != nil {
			return nil, err
		}
		*slot = reserved
	}
	return p, nil
}
