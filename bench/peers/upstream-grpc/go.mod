module upstream-grpc

go 1.24
