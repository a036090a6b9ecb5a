#!/bin/sh
# 2 says that something was changed, and all of it went well.
puppet apply --detailed-exitcodes /etc/puppet/code/site.pp || test $? = 2
