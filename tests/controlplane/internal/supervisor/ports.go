package supervisor

import (
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// port is a TCP port of 127.0.0.1 that is reserved for this supervisor until it
// exits, even while no part listens on it. Without the reservation, any outgoing
// connection on the machine could take the port before a part starts or while it is
// stopped.
//
// The reservation is a socket that is bound but never listens. Linux lets a second
// socket bind to the same port if both have SO_REUSEADDR, which Go sets on every
// listener, and if none of them listens yet. A bind to port 0 or an outgoing
// connection never gets a reserved port.
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
	// Set SO_REUSEADDR after the bind. Otherwise the bind could return a port that
	// another supervisor has reserved.
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

// address returns the port as HOST:PORT.
func (p *port) address() string {
	return net.JoinHostPort(loopback, strconv.Itoa(p.number))
}

func (p *port) release() {
	_ = syscall.Close(p.socket)
}

// ports holds all ports of one cluster.
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
