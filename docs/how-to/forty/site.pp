$root = "/srv/www/${facts['site']}"

file { ['/srv/www', $root]:
  ensure => directory,
}

exec { 'deploy':
  command  => "rm -rf new && mkdir new &&
               curl -sSf http://10.7.0.1:8400/${facts['site']}.tar | tar -x -C new && mv new public",
  cwd      => $root,
  creates  => "${root}/public",
  path     => '/usr/bin:/bin',
  provider => shell,
  timeout  => 1800,
  require  => File[$root],
}

file { "${root}/public/robots.txt":
  content => "Sitemap: http://${facts['site']}/sitemap.xml\n",
  require => Exec['deploy'],
}

service { 'apache2':
  ensure => running,
}
