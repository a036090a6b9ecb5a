using System.Reflection;
using System.Runtime.Versioning;

[assembly: AssemblyTitle("Skinnybox for XenCenter")]
[assembly: AssemblyProduct("Skinnybox")]
[assembly: AssemblyVersion("0.1.0.0")]
// Without it the .NET Framework takes the program for one of 4.0, with that version's TLS.
[assembly: TargetFramework(".NETFramework,Version=v4.8")]
